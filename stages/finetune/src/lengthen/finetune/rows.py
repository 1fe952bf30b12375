"""From expansions to token rows: selected, encoded, and the over-long ones rejected. Nothing is cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.errors import UserError
from lengthen.common.ids import row_random
from lengthen.common.job import Job
from lengthen.common.selection import select
from lengthen.common.store.compaction import RowDigest
from lengthen.common.store.reader import Dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.text.check import unfit
from lengthen.finetune.examples import example

if TYPE_CHECKING:
    from lengthen.common.chat import Chat

SCHEMA = pa.schema({"id": pa.string(), "input_ids": pa.list_(pa.int32()), "labels": pa.list_(pa.int32())})
IGNORED = -100  # a label that the loss leaves out


class TokenRows(NamedTuple):
    """Two files of token rows, and what they hold."""

    train: Path
    validation: Path | None
    rows: int  # of train
    validation_rows: int
    tokens: int  # of train: prompt, answer and end token
    validation_tokens: int
    rejected_tokens: int  # what the rejected rows would have had
    longest: int
    digest: str  # of all rows' tokens and labels, in order


def encode_rows(job: Job, datasets: list[Dataset], role: str, writer: DatasetWriter) -> TokenRows:
    """Write `train.parquet` and `validation.parquet` for this run; reject what can't be learned from, with its tokens.

    Raises:
        UserError: more over-long rows than the configured share.
    """
    from lengthen.common.chat import Chat  # transformers: only when there is something to encode

    chat = Chat(job.config.model.path)
    allowed = max_tokens(job, role)
    train: list[dict[str, Any]] = []
    validation: list[dict[str, Any]] = []
    too_long = seen = rejected = 0
    for row, selected in _selected(job, datasets):
        encoded = _encode(job, chat, row, role)
        tokens = len(encoded["input_ids"])
        seen += selected
        bad = unfit(row["instruction"] + row["response"] + row["expansion"], chat.control_tokens) if selected else None
        if not selected or bad or tokens > allowed:
            reason, detail = "over_long", f"{tokens} tokens > {allowed}"
            if not selected:
                reason, detail = "selected_out", f"{row['expansion_words']} words"
            elif bad:
                reason, detail = bad.reason, bad.detail
            too_long += reason == "over_long"
            rejected += tokens
            writer.reject(row["id"], row["response_id"], reason, detail, tokens=tokens)
        elif row_random(job.config.seed, row["id"], "validation").random() < job.config.finetune.validation_share:
            validation.append(encoded)
        else:
            train.append(encoded)
    if too_long > job.config.finetune.max_over_long_share * seen:
        raise UserError(
            f"{too_long} of {seen} rows are longer than finetune.max_tokens_{role} ({allowed}), more than the allowed share "
            f"{job.config.finetune.max_over_long_share}; raise max_tokens_{role} or finetune.max_over_long_share"
        )
    if not train:
        train, validation = validation, []
    return _write(writer.staging, train, validation, rejected)


def max_tokens(job: Job, role: str) -> int:
    settings = job.config.finetune
    return settings.max_tokens_extender if role == "extender" else settings.max_tokens_generator


def _selected(job: Job, datasets: list[Dataset]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every row, and whether the length-biased selection keeps it."""
    for dataset in datasets:
        biased = job.config.finetune.length_biased_selection
        kept = select(dataset, "expansion_words", job.config.seed) if biased else None
        for number, row in enumerate(dataset.rows()):
            if job.limit and number >= job.limit:
                break
            yield row, kept is None or row["id"] in kept


def _encode(job: Job, chat: Chat, row: dict[str, Any], role: str) -> dict[str, Any]:
    learned = example(row, role, job.config.finetune.drop_lines, job.config.seed)
    prompt, answer = chat.encode_example(learned.prompt, learned.answer)
    return {"id": row["id"], "input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}


def _write(folder: Path, train: list[dict[str, Any]], validation: list[dict[str, Any]], rejected_tokens: int) -> TokenRows:
    paths = folder / "train.parquet", folder / "validation.parquet"
    for path, rows in zip(paths, (train, validation), strict=True):
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    lengths = [[len(row["input_ids"]) for row in rows] for rows in (train, validation)]
    digest = RowDigest()
    for row in train + validation:
        digest.add(row)
    return TokenRows(
        train=paths[0],
        validation=paths[1] if validation else None,
        rows=len(train),
        validation_rows=len(validation),
        tokens=sum(lengths[0]),
        validation_tokens=sum(lengths[1]),
        rejected_tokens=rejected_tokens,
        longest=max(lengths[0] + lengths[1], default=0),
        digest=digest.hexdigest(),
    )
