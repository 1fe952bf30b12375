"""Which expansions are learned from: the readers' selection, and earlier iterations and short answers where the config asks.

Learning nothing but long answers, and only the latest, is the paper's way; a share of earlier iterations' rows and of short
answers works against forgetting. Both are drawn by the rows' ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from lengthen.common.ids import row_random
from lengthen.common.job import Job
from lengthen.common.progress import say
from lengthen.common.selection import left_out
from lengthen.common.store.reader import Dataset
from lengthen.common.text.check import Refusal


def in_use(job: Job, datasets: list[Dataset]) -> list[Dataset]:
    """The datasets that rows are taken from: those of earlier iterations only where `finetune.earlier_share` asks for some."""
    used = []
    for dataset in datasets:
        if job.config.finetune.earlier_share or dataset.manifest.fingerprint.get("iteration", job.iteration) >= job.iteration:
            used.append(dataset)
        else:
            say(f"finetune: {dataset.folder} is of an earlier iteration and not used (finetune.earlier_share is 0)")
    return used


def rows_and_refusals(job: Job, datasets: list[Dataset], role: str) -> Iterator[tuple[dict[str, Any], Refusal | None]]:
    """Every row, and why it is not learned from (None: it is). A release is selected already: the writer learns all of it."""
    if role == "writer":
        yield from ((row, None) for dataset in datasets for row in islice(dataset.rows(), job.limit))
        return
    settings, seed = job.config.finetune, job.config.seed
    biased, similar = settings.length_biased_selection, settings.max_similarity
    unused = left_out(datasets, "expansion", "expansion_words", seed, length_biased=biased, max_similarity=similar)
    for dataset in datasets:
        for row in islice(dataset.rows(), job.limit):
            yield row, unused.get(row["id"]) or _not_mixed_in(job, row)


def lesson(job: Job, row: dict[str, Any], role: str) -> dict[str, Any]:
    """The row as its role learns it: for a share of the generator's rows, with the short answer instead of the long one."""
    if role == "generator" and row_random(job.config.seed, row["id"], "short").random() < job.config.finetune.short_share:
        return row | {"expansion": row["response"]}
    return row


def _not_mixed_in(job: Job, row: dict[str, Any]) -> Refusal | None:
    share = job.config.finetune.earlier_share
    if row["iteration"] >= job.iteration or row_random(job.config.seed, row["id"], "earlier").random() < share:
        return None
    return Refusal("selected_out", f"iteration {row['iteration']}, of which a share of {share} is mixed in")
