"""From expansions to token rows: selected, encoded, and the over-long ones rejected. Nothing is cut."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.errors import UserError
from lengthen.common.flaws import TEXTS, flaw_of
from lengthen.common.ids import row_random
from lengthen.common.job import Job
from lengthen.common.store.compaction import RowDigest
from lengthen.common.store.reader import Dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables import DATASET, EXPANSIONS, Table
from lengthen.common.text.check import Refusal, unfit
from lengthen.finetune.examples import example
from lengthen.finetune.mixing import lesson, rows_and_refusals

if TYPE_CHECKING:
    from lengthen.common.chat import Chat

SCHEMA = pa.schema({"id": pa.string(), "input_ids": pa.list_(pa.int32()), "labels": pa.list_(pa.int32())})
PARENTS = {"expansions": "response_id", "dataset": "source_id"}
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
    table = table_of(role)
    for row, unused in rows_and_refusals(job, datasets, role):
        flaw = flaw_of(table, row, job.config.model.context_tokens)
        encoded = {"input_ids": []} if flaw else _encode(job, chat, row, role)
        tokens = len(encoded["input_ids"])
        seen += unused is None
        why = flaw or unused or unfit("".join(row[name] for name in TEXTS[table.name]), chat.control_tokens)
        if not why and tokens > allowed:
            why, too_long = Refusal("over_long", f"{tokens} tokens > {allowed}"), too_long + 1
        if why:
            rejected += tokens
            writer.reject(row["id"], row[PARENTS[table.name]], why.reason, why.detail, tokens=tokens)
        elif _is_held_out(job, row, role):
            validation.append(encoded)
        else:
            train.append(encoded)
    if too_long > job.config.finetune.max_over_long_share * seen:
        name = "max_tokens_extender" if role == "extender" else "max_tokens_generator"
        raise UserError(
            f"{too_long} of {seen} rows are longer than finetune.{name} ({allowed}), more than the allowed share "
            f"{job.config.finetune.max_over_long_share}; raise {name} or finetune.max_over_long_share"
        )
    if not train and role != "writer":  # its test split is never trained on
        train, validation = validation, []
    return _write(writer.scratch, train, validation, rejected)


def table_of(role: str) -> Table:
    """What a role learns from."""
    return DATASET if role == "writer" else EXPANSIONS


def _is_held_out(job: Job, row: dict[str, Any], role: str) -> bool:
    """Whether a row is for validation. The writer never sees the release's test split."""
    if role == "writer":
        return bool(row["split"] == "test")
    return row_random(job.config.seed, row["id"], "validation").random() < job.config.finetune.validation_share


def max_tokens(job: Job, role: str) -> int:
    settings = job.config.finetune
    return settings.max_tokens_extender if role == "extender" else settings.max_tokens_generator


def _encode(job: Job, chat: Chat, row: dict[str, Any], role: str) -> dict[str, Any]:
    learned = example(lesson(job, row, role), role, job.config.finetune.drop_lines, job.config.seed)
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
