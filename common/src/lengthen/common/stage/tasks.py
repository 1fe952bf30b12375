"""The rows that a stage has to make. The id of a row is known before its text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from lengthen.common.method.ids import row_id
from lengthen.common.method.row_check import check_row
from lengthen.common.process.errors import UserError
from lengthen.common.stage.job import Job
from lengthen.common.store.reader import Dataset
from lengthen.common.text.rejection import Rejection

Source = TypeVar("Source")


@dataclass(frozen=True)
class Task(Generic[Source]):
    """A row to be made from a source row, unless it is rejected already."""

    id: str
    parent_id: str
    sample: int
    source: Source
    rejection: Rejection | None = None


def tasks(job: Job, dataset: Dataset, samples: int, left_out: Mapping[str, Rejection] | None = None) -> Iterator[Task[dict[str, Any]]]:
    """The rows that this process has to make: `samples` from each row of a dataset, in order of the source rows' ids.

    `left_out` are the source rows that are not used, by id.
    """
    for row in islice(dataset.rows(), job.limit):
        rejection = check_row(dataset.table, row, job.config.model.max_model_len) or (left_out or {}).get(row["id"])
        for sample in range(samples):
            name = row_id(job.stage, job.iteration, row["id"], sample)
            if job.includes(name):
                yield Task(name, row["id"], sample, row, rejection)


def count_tasks(job: Job, dataset: Dataset, samples: int) -> int:
    """The number of `tasks`, computed from the ids only."""
    ids = islice((row["id"] for row in dataset.rows(["id"])), job.limit)
    return sum(job.includes(row_id(job.stage, job.iteration, row, sample)) for row in ids for sample in range(samples))


def check_languages(job: Job, dataset: Dataset) -> None:
    """Raises: UserError: the dataset has rows in a language that is not in the config."""
    languages = {row["language"] for row in dataset.rows(["language"])}
    if missing := sorted(languages - set(job.config.languages)):
        raise UserError(f"{dataset.folder} has rows in {', '.join(missing)}; add the language to `languages` in the config")
