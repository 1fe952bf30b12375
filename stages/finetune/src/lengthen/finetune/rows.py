"""From expansions to token rows: selected, encoded, and the over-long ones rejected. Rows are never truncated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.method.ids import row_random
from lengthen.common.method.row_check import TEXTS, check_row
from lengthen.common.process.errors import UserError
from lengthen.common.stage.job import Job
from lengthen.common.store.compaction import RowDigest
from lengthen.common.store.reader import Dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import DATASET, EXPANSIONS
from lengthen.common.tables.schema import Table
from lengthen.common.text.prompt_text import check_prompt_text
from lengthen.common.text.rejection import Rejection
from lengthen.finetune.examples import example
from lengthen.finetune.mixing import row_to_learn, training_tasks

if TYPE_CHECKING:
    from lengthen.common.engine.chat import Chat

SCHEMA = pa.schema({"id": pa.string(), "input_ids": pa.list_(pa.int32()), "labels": pa.list_(pa.int32())})
IGNORED = -100  # the label of a token that the loss leaves out


class TokenRows(NamedTuple):
    """Two files of token rows, and what they hold."""

    train: Path
    validation: Path | None
    rows: int  # of train
    validation_rows: int
    tokens: int  # of train: prompt, answer and end token
    validation_tokens: int
    rejected_tokens: int  # of the rejected rows, had they been used
    longest: int
    digest: str  # of all rows' tokens and labels, in order


def encode_rows(job: Job, datasets: list[Dataset], role: str, writer: DatasetWriter) -> TokenRows:
    """Write `train.parquet` and `validation.parquet` for this run; reject rows that can't be trained on, with their tokens.

    Raises:
        UserError: a larger share of the rows is too long than the config allows.
    """
    from lengthen.common.engine.chat import Chat  # transformers: only when there is something to encode

    chat, table, allowed = Chat(job.config.model.path), table_of(role), max_tokens(job, role)
    train: list[dict[str, Any]] = []
    validation: list[dict[str, Any]] = []
    too_long = selected = rejected_tokens = 0
    for task in training_tasks(job, datasets, role):
        row, unreadable = task.source, check_row(table, task.source, job.config.model.max_model_len)
        encoded = {"input_ids": []} if unreadable else _encode(job, chat, row, role)
        tokens = len(encoded["input_ids"])
        rejection = unreadable or task.rejection or _check_encoded(chat, table, row, tokens, allowed)
        selected += task.rejection is None
        if rejection:
            too_long += rejection.reason == "over_long"
            rejected_tokens += tokens
            writer.reject(task.id, task.parent_id, rejection._replace(tokens=tokens))
        elif _is_for_validation(job, row, role):
            validation.append(encoded)
        else:
            train.append(encoded)
    _check_over_long_share(job, role, too_long, selected)
    if not train and role != "writer":  # its test split is never trained on
        train, validation = validation, []
    return _write(writer.scratch, train, validation, rejected_tokens)


def table_of(role: str) -> Table:
    """The table that a role is trained on."""
    return DATASET if role == "writer" else EXPANSIONS


def max_tokens(job: Job, role: str) -> int:
    settings = job.config.finetune
    return settings.max_tokens_extender if role == "extender" else settings.max_tokens_generator


def _encode(job: Job, chat: Chat, row: dict[str, Any], role: str) -> dict[str, Any]:
    learned = example(row_to_learn(job, row, role), role, job.config.finetune.drop_lines, job.config.seed)
    prompt, answer = chat.encode_example(learned.prompt, learned.answer)
    return {"id": row["id"], "input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}


def _check_encoded(chat: Chat, table: Table, row: dict[str, Any], tokens: int, allowed: int) -> Rejection | None:
    """Why a row that is selected can't be trained on, or None."""
    if bad := check_prompt_text("".join(row[name] for name in TEXTS[table.name]), chat.control_tokens):
        return bad
    return Rejection("over_long", f"{tokens} tokens > {allowed}") if tokens > allowed else None


def _check_over_long_share(job: Job, role: str, too_long: int, selected: int) -> None:
    allowed = job.config.finetune.max_over_long_share
    if too_long > allowed * selected:
        name = "max_tokens_extender" if role == "extender" else "max_tokens_generator"
        raise UserError(
            f"{too_long} of {selected} rows are longer than finetune.{name} ({max_tokens(job, role)}), more than the allowed share "
            f"{allowed}; raise {name} or finetune.max_over_long_share"
        )


def _is_for_validation(job: Job, row: dict[str, Any], role: str) -> bool:
    """The writer's are those of the release's test split, which it is never trained on."""
    if role == "writer":
        return bool(row["split"] == "test")
    return row_random(job.config.seed, row["id"], "validation").random() < job.config.finetune.validation_share


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
