"""Which expansions an adapter is trained on: the selected ones, with earlier iterations and short answers where the config says so.

In the paper an adapter learns long answers of the latest iteration only. A share of earlier iterations' rows
(`finetune.earlier_share`) and of short answers (`finetune.short_share`) works against forgetting. Both are drawn by the rows' ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from lengthen.common.method.ids import row_random
from lengthen.common.method.selection import left_out
from lengthen.common.process.progress import say
from lengthen.common.stage.job import Job
from lengthen.common.stage.tasks import Task
from lengthen.common.store.reader import Dataset
from lengthen.common.text.rejection import Rejection

_PARENTS = {"expansions": "response_id", "dataset": "source_id"}  # by table, the column with the parent's id


def datasets_in_use(job: Job, datasets: list[Dataset]) -> list[Dataset]:
    """The datasets that rows are taken from: those of earlier iterations only where `finetune.earlier_share` is above 0."""
    used = []
    for dataset in datasets:
        if job.config.finetune.earlier_share or dataset.manifest.fingerprint.get("iteration", job.iteration) >= job.iteration:
            used.append(dataset)
        else:
            say(f"finetune: {dataset.folder} is of an earlier iteration and not used (finetune.earlier_share is 0)")
    return used


def training_tasks(job: Job, datasets: list[Dataset], role: str) -> Iterator[Task[dict[str, Any]]]:
    """Every row; with a rejection where it is not selected."""
    rejections = _not_selected(job, datasets) if role != "writer" else {}  # a release was selected when it was made
    for dataset in datasets:
        parent = _PARENTS[dataset.table.name]
        for row in islice(dataset.rows(), job.limit):
            rejection = rejections.get(row["id"]) or (_check_iteration(job, row) if role != "writer" else None)
            yield Task(row["id"], row[parent], 0, row, rejection)


def _not_selected(job: Job, datasets: list[Dataset]) -> dict[str, Rejection]:
    settings, seed = job.config.finetune, job.config.seed
    biased, similar = settings.length_biased_selection, settings.max_similarity
    return left_out(datasets, "expansion", "expansion_words", seed, length_biased=biased, max_similarity=similar)


def row_to_learn(job: Job, row: dict[str, Any], role: str) -> dict[str, Any]:
    """The row as its role learns it: for a share of the generator's rows, with the short answer instead of the long one."""
    if role == "generator" and row_random(job.config.seed, row["id"], "short").random() < job.config.finetune.short_share:
        return row | {"expansion": row["response"]}
    return row


def _check_iteration(job: Job, row: dict[str, Any]) -> Rejection | None:
    """Rows of earlier iterations are drawn: None for those that are used."""
    share = job.config.finetune.earlier_share
    if row["iteration"] >= job.iteration or row_random(job.config.seed, row["id"], "earlier").random() < share:
        return None
    return Rejection("selected_out", f"iteration {row['iteration']}, of which a share of {share} is mixed in")
