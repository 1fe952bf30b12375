"""Length-biased selection: shorter texts are dropped the likelier, the shorter they are.

Ranked by length within a language, with r = rank / n (the shortest has r = 1), a row is kept with probability
max(0, 1 - 2 r^3): the shortest 20.6 % always go, 59.5 % survive overall (Self-Lengthen, section 3; arXiv 2410.23933).
A pure function of the whole upstream dataset, so every stage that reads it keeps the same rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from lengthen.common.ids import row_random
from lengthen.common.store.reader import Dataset


def selected(rows: Iterable[tuple[str, str, int]], seed: int) -> set[str]:
    """The ids that survive, from (id, stratum, length) of every row. Independent of the order of the rows.

    A stratum is what lengths are compared within: the language. A stratum of one row keeps it, since a rank among one
    says nothing.
    """
    strata: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row, stratum, length in rows:
        strata[stratum].append((length, row))
    return {row for members in strata.values() for row in _kept(sorted(members, reverse=True), seed)}


def select(dataset: Dataset, length: str, seed: int) -> set[str]:
    """`selected` over a whole dataset; `length` names the column that holds the words."""
    return selected(((row["id"], row["language"], row[length]) for row in dataset.rows(["id", "language", length])), seed)


def keep_probability(rank: int, count: int) -> float:
    """Of the row with the rank-th longest text (1 = the longest) among `count`: max(0, 1 - 2 (rank / count)^3)."""
    return max(0.0, 1 - 2 * (rank / count) ** 3)


def _kept(longest_first: list[tuple[int, str]], seed: int) -> list[str]:
    count = len(longest_first)
    if count == 1:
        return [longest_first[0][1]]
    return [
        row
        for rank, (_, row) in enumerate(longest_first, start=1)
        if row_random(seed, row, "selection").random() < keep_probability(rank, count)
    ]
