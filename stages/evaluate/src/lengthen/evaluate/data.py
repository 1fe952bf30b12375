"""Training data as evaluation items: a sample of an `expansions` dataset, drawn with the seed."""

from __future__ import annotations

from heapq import nsmallest

from lengthen.common.method.ids import attempt_seed
from lengthen.common.store.reader import Dataset
from lengthen.evaluate.item import EvaluationItem


def sample_rows(dataset: Dataset, count: int, seed: int) -> list[EvaluationItem]:
    """Draw `count` rows: the same rows for the same ids and seed, in any order. Only the drawn rows' texts stay in memory."""
    drawn = {row for _, row in nsmallest(count, ((attempt_seed(seed, row["id"], "evaluate"), row["id"]) for row in dataset.rows(["id"])))}
    return [
        EvaluationItem("data", dataset.table.name, "ours", row["id"], row["language"], row["instruction"], given=row["expansion"])
        for row in dataset.rows(["instruction", "language", "expansion"])
        if row["id"] in drawn
    ]
