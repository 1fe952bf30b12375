"""The answers that a release may contain: responses and expansions with the same column names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lengthen.common.config.load import Config
from lengthen.common.method.selection import left_out
from lengthen.common.store.reader import Dataset
from lengthen.common.tables.definitions import EXPANSIONS, RESPONSES
from lengthen.common.text.rejection import Rejection

_COLUMNS = {RESPONSES.name: ("response", "words"), EXPANSIONS.name: ("expansion", "expansion_words")}


class Answer(NamedTuple):
    """An answer without its text."""

    id: str
    instruction_id: str
    instruction: str
    language: str
    words: int


def text_column(dataset: Dataset) -> str:
    """The name of the column with the answer's text."""
    return _COLUMNS[dataset.table.name][0]


def read_answers(dataset: Dataset) -> Iterator[Answer]:
    """The rows without null values (`check_row` rejects the others)."""
    words = _COLUMNS[dataset.table.name][1]
    for row in dataset.rows(["instruction_id", "instruction", "language", words]):
        answer = Answer(row["id"], row["instruction_id"], row["instruction"], row["language"], row[words])
        if None not in answer:
            yield answer


def not_selected(dataset: Dataset, config: Config) -> dict[str, Rejection]:
    """The responses that expand did not select, or the expansions that finetune did not: same function, same settings."""
    settings = config.expand if dataset.table.name == RESPONSES.name else config.finetune
    return left_out(
        [dataset],
        *_COLUMNS[dataset.table.name],
        config.seed,
        length_biased=settings.length_biased_selection,
        max_similarity=settings.max_similarity,
    )
