"""Select the rows of a dataset that a stage uses: remove near duplicates, then short texts (length-biased selection).

Length-biased selection ranks the texts of a language and an iteration by length. With r = rank / n (the shortest has r = 1), a row
is selected with probability max(0, 1 - 2 r^3): the shortest 20.6 % are always removed, 59.5 % of all rows remain (Self-Lengthen,
section 3; arXiv 2410.23933). It is a pure function of the whole input dataset, so all stages that read it use the same rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable

from lengthen.common.method.ids import row_random
from lengthen.common.store.reader import Dataset
from lengthen.common.text.duplicates import NearDuplicates
from lengthen.common.text.rejection import Rejection


def left_out(
    datasets: list[Dataset], text: str, words: str, seed: int, *, length_biased: bool, max_similarity: float
) -> dict[str, Rejection]:
    """The rows that are not used: id -> `duplicate` or `selected_out`, with the figure that decided it.

    Args:
        datasets: if rows of two datasets are near duplicates, the one in the later dataset is removed.
        text: the column that is searched for near duplicates.
        words: the column with the text's length.
        seed: the run's seed.
        length_biased: whether to select by length.
        max_similarity: of two texts; 1: no near duplicates are removed.
    """
    out: dict[str, Rejection] = {}
    if max_similarity < 1:
        texts = ((row["id"], row[text]) for dataset in datasets for row in dataset.rows([text]) if row[text])  # null: see `row_check`
        out |= duplicates(texts, max_similarity)
    if length_biased:
        columns = ["language", "iteration", words]
        rows = [row for dataset in datasets for row in dataset.rows(columns) if row["id"] not in out and row[words] is not None]
        chosen = selected(((row["id"], (row["language"], row["iteration"]), row[words]) for row in rows), seed)
        out |= {row["id"]: Rejection("selected_out", f"{row[words]} words") for row in rows if row["id"] not in chosen}
    return out


def duplicates(rows: Iterable[tuple[str, str]], max_similarity: float) -> dict[str, Rejection]:
    """The rows that are near duplicates of an earlier one: id -> `duplicate`, with the similarity and the other row's id.

    `rows` are (id, text) in order of their ids, so the row with the smaller id is not removed, with any number of shards. Only
    a MinHash of each text is kept in memory.
    """
    known, out = NearDuplicates(max_similarity), {}
    for row, text in rows:
        if nearest := known.nearest(text):
            other, similarity = nearest
            out[row] = Rejection("duplicate", f"{similarity:.2f} > {max_similarity}, {other}")
        else:
            known.add(row, text)
    return out


def selected(rows: Iterable[tuple[str, Hashable, int]], seed: int) -> set[str]:
    """The ids selected by length, from (id, stratum, length) of every row, in any order.

    Lengths are compared within a stratum: a language and an iteration. A stratum of one row is selected, because a rank needs
    other rows.
    """
    strata: dict[Hashable, list[tuple[int, str]]] = defaultdict(list)
    for row, stratum, length in rows:
        strata[stratum].append((length, row))
    return {row for members in strata.values() for row in _sample(sorted(members, reverse=True), seed)}


def keep_probability(rank: int, count: int) -> float:
    """max(0, 1 - 2 (rank / count)^3) for the text with this rank by length (1 = the longest) among `count` texts."""
    return max(0.0, 1 - 2 * (rank / count) ** 3)


def _sample(longest_first: list[tuple[int, str]], seed: int) -> list[str]:
    count = len(longest_first)
    if count == 1:
        return [longest_first[0][1]]
    return [
        row
        for rank, (_, row) in enumerate(longest_first, start=1)
        if row_random(seed, row, "selection").random() < keep_probability(rank, count)
    ]
