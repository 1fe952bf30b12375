"""The answers that a release may take: responses and expansions under one set of names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lengthen.common.config import Config
from lengthen.common.selection import left_out
from lengthen.common.store.reader import Dataset
from lengthen.common.tables import EXPANSIONS, RESPONSES
from lengthen.common.text.check import Refusal

_COLUMNS = {RESPONSES.name: ("response", "words"), EXPANSIONS.name: ("expansion", "expansion_words")}


class Facts(NamedTuple):
    """An answer without its text."""

    id: str
    instruction_id: str
    instruction: str
    language: str
    words: int


def text_column(dataset: Dataset) -> str:
    """Which column holds the answer."""
    return _COLUMNS[dataset.table.name][0]


def facts(dataset: Dataset) -> Iterator[Facts]:
    """Of every row that has them all (nulls: see `flaws`)."""
    words = _COLUMNS[dataset.table.name][1]
    for row in dataset.rows(["instruction_id", "instruction", "language", words]):
        found = Facts(row["id"], row["instruction_id"], row["instruction"], row["language"], row[words])
        if None not in found:
            yield found


def unselected(dataset: Dataset, config: Config) -> dict[str, Refusal]:
    """What expand left out of these responses, or finetune of these expansions: the same function with the same settings."""
    settings = config.expand if dataset.table.name == RESPONSES.name else config.finetune
    return left_out(
        [dataset],
        *_COLUMNS[dataset.table.name],
        config.seed,
        length_biased=settings.length_biased_selection,
        max_similarity=settings.max_similarity,
    )
