"""Training data as cases: a sample of an `expansions` dataset, drawn with the seed."""

from __future__ import annotations

from heapq import nsmallest

from lengthen.common.ids import attempt_seed
from lengthen.common.store.reader import Dataset
from lengthen.evaluate.case import Case


def sampled(dataset: Dataset, count: int, seed: int) -> list[Case]:
    """`count` rows of the dataset, the same for the same rows and seed whatever their order; ids first, texts of those alone."""
    drawn = {row for _, row in nsmallest(count, ((attempt_seed(seed, row["id"], "evaluate"), row["id"]) for row in dataset.rows(["id"])))}
    return [
        Case("data", dataset.table.name, "ours", row["id"], row["language"], row["instruction"], given=row["expansion"])
        for row in dataset.rows(["instruction", "language", "expansion"])
        if row["id"] in drawn
    ]
