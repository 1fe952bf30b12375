"""From expansions to token rows: selected, encoded, and the over-long ones rejected. Rows are never truncated."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from lengthen.common.method.ids import row_random
from lengthen.common.method.row_check import TEXTS, check_row
from lengthen.common.process.errors import UserError
from lengthen.common.stage.job import Job
from lengthen.common.stage.tasks import Task
from lengthen.common.store.files import disk_errors
from lengthen.common.store.reader import Dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import DATASET, EXPANSIONS
from lengthen.common.tables.schema import Table
from lengthen.common.text.digest import text_digest
from lengthen.common.text.rejection import Rejection
from lengthen.finetune.encoding import BATCH_ROWS, EXAMPLES, EXAMPLES_FILE, encode_file
from lengthen.finetune.examples import example
from lengthen.finetune.mixing import row_to_learn, training_tasks
from lengthen.finetune.token_file import TokenFile


class TokenRows(NamedTuple):
    """Two files of token rows, and what they hold."""

    train: Path
    validation: Path | None
    rows: int  # of train
    validation_rows: int
    tokens: int  # of train: prompt, answer and end token
    validation_tokens: int
    rejected_tokens: int  # of the rejected rows that were tokenized, had they been used
    longest: int
    digest: str  # of all rows, in order


def encode_rows(job: Job, datasets: list[Dataset], role: str, writer: DatasetWriter) -> TokenRows:
    """Write `train.arrow` and `validation.arrow` for this run; reject rows that can't be trained on, with their tokens.

    Rows that are rejected for another reason than their tokens, such as by selection, are not tokenized: their tokens are 0. Of
    all rows only `BATCH_ROWS` are in memory at once.

    Raises:
        UserError: a larger share of the rows is too long than the config allows.
    """
    folder, allowed = writer.scratch, max_tokens(job, role)
    too_long = rejected_tokens = 0
    with disk_errors(folder), TokenFile(folder / "train.arrow") as train, TokenFile(folder / "validation.arrow") as validation:
        count = _write_examples(job, datasets, role, writer)
        for batch in encode_file(folder, count.examples, job.config.model.path):
            tokens = pc.list_value_length(batch["input_ids"])
            kept = pc.and_(pc.equal(batch["reason"], ""), pc.less_equal(tokens, allowed))
            train.write(batch.filter(pc.and_(kept, pc.invert(batch["validation"]))))
            validation.write(batch.filter(pc.and_(kept, batch["validation"])))
            for task, rejection in _rejections(batch.filter(pc.invert(kept)), allowed):
                too_long += rejection.reason == "over_long"
                rejected_tokens += rejection.tokens
                writer.reject(*task, rejection)
    _check_over_long_share(job, role, too_long, count.selected)
    return _token_rows(train, validation, rejected_tokens, role)


def table_of(role: str) -> Table:
    """The table that a role is trained on."""
    return DATASET if role == "writer" else EXPANSIONS


def max_tokens(job: Job, role: str) -> int:
    settings = job.config.finetune
    return settings.max_tokens_extender if role == "extender" else settings.max_tokens_generator


class _Count(NamedTuple):
    selected: int  # rows that selection has not left out
    examples: int  # of them those that can be read


def _write_examples(job: Job, datasets: list[Dataset], role: str, writer: DatasetWriter) -> _Count:
    """Write the examples to be tokenized; reject the other rows."""
    table, selected, examples = table_of(role), 0, 0
    with pa.ipc.new_stream(writer.scratch / EXAMPLES_FILE, EXAMPLES) as stream:
        tasks = training_tasks(job, datasets, role)
        while some := list(islice(tasks, BATCH_ROWS)):
            found = []
            for task in some:
                rejection = check_row(table, task.source, job.config.model.max_model_len) or task.rejection
                selected += task.rejection is None
                if rejection:
                    writer.reject(task.id, task.parent_id, rejection)
                else:
                    found.append(_example(job, task, role))
            examples += len(found)
            if found:
                stream.write_batch(pa.RecordBatch.from_pylist(found, EXAMPLES))
    return _Count(selected, examples)


def _example(job: Job, task: Task[dict[str, Any]], role: str) -> dict[str, Any]:
    row = task.source
    learned = example(row_to_learn(job, row, role), role, job.config.finetune.drop_lines, job.config.seed)
    return {
        "id": task.id,
        "parent_id": task.parent_id,
        "validation": _is_for_validation(job, row, role),
        "prompt": learned.prompt.user,
        "answer": learned.answer,
        "texts": "".join(row[name] for name in TEXTS[table_of(role).name]),
    }


def _rejections(batch: pa.RecordBatch, allowed: int) -> Iterator[tuple[tuple[str, str], Rejection]]:
    """((id, parent id), why it can't be trained on) of encoded rows that are not used."""
    lengths = pc.list_value_length(batch["input_ids"]).to_pylist()
    for row, tokens in zip(batch.drop_columns(["input_ids"]).to_pylist(), lengths, strict=True):
        reason, detail = (row["reason"], row["detail"]) if row["reason"] else ("over_long", f"{tokens} tokens > {allowed}")
        yield (row["id"], row["parent_id"]), Rejection(reason, detail, tokens=tokens)


def _check_over_long_share(job: Job, role: str, too_long: int, selected: int) -> None:
    allowed = job.config.finetune.max_over_long_share
    if too_long > allowed * selected:
        name = "max_tokens_extender" if role == "extender" else "max_tokens_generator"
        raise UserError(
            f"{too_long} of {selected} rows are longer than finetune.{name} ({max_tokens(job, role)}), more than the allowed share "
            f"{allowed}; raise {name} or finetune.max_over_long_share"
        )


def _is_for_validation(job: Job, row: dict[str, Any], role: str) -> bool:
    """Drawn by the instruction: another answer to one that is trained on would not show how well new ones are learned.

    The writer's rows are those of the release's test split, which it is never trained on.
    """
    if role == "writer":
        return bool(row["split"] == "test")
    return row_random(job.config.seed, row["instruction_id"], "validation").random() < job.config.finetune.validation_share


def _token_rows(train: TokenFile, validation: TokenFile, rejected_tokens: int, role: str) -> TokenRows:
    if not train.rows and role != "writer":  # its test split is never trained on
        train, validation = validation, train
    return TokenRows(
        train=train.path,
        validation=validation.path if validation.rows else None,
        rows=train.rows,
        validation_rows=validation.rows,
        tokens=train.tokens,
        validation_tokens=validation.tokens,
        rejected_tokens=rejected_tokens,
        longest=max(train.longest, validation.longest),
        digest=text_digest(f"{train.hexdigest()} {validation.hexdigest()}"),
    )
