"""Which rows of a dataset its readers use: near duplicates are left out, then the shorter texts, the likelier the shorter.

Length-biased selection: ranked by length within a language and an iteration, with r = rank / n (the shortest has r = 1), a
row is kept with probability max(0, 1 - 2 r^3): the shortest 20.6 % always go, 59.5 % survive overall (Self-Lengthen,
section 3; arXiv 2410.23933). A pure function of the whole upstream dataset, so every stage that reads it keeps the same rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable

from lengthen.common.ids import row_random
from lengthen.common.store.reader import Dataset
from lengthen.common.text.check import Refusal
from lengthen.common.text.duplicates import NearDuplicates


def left_out(
    datasets: list[Dataset], text: str, words: str, seed: int, *, length_biased: bool, max_similarity: float
) -> dict[str, Refusal]:
    """The rows that are not used: id -> `duplicate` or `selected_out`, with the figure that decided it.

    Args:
        datasets: of several, a row like one in an earlier dataset of the list is the duplicate.
        text: the column that near duplicates are looked for in.
        words: the column that holds its length.
        seed: the run's.
        length_biased: whether to select by length.
        max_similarity: of two texts; 1 keeps all of them.
    """
    out: dict[str, Refusal] = {}
    if max_similarity < 1:
        texts = ((row["id"], row[text]) for dataset in datasets for row in dataset.rows([text]) if row[text])  # null: see `flaws`
        found = duplicates(texts, max_similarity)
        out |= {row: Refusal("duplicate", f"{similarity:.2f} > {max_similarity}, {twin}") for row, twin, similarity in found}
    if length_biased:
        columns = ["language", "iteration", words]
        rows = [row for dataset in datasets for row in dataset.rows(columns) if row["id"] not in out and row[words] is not None]
        kept = selected(((row["id"], (row["language"], row["iteration"]), row[words]) for row in rows), seed)
        out |= {row["id"]: Refusal("selected_out", f"{row[words]} words") for row in rows if row["id"] not in kept}
    return out


def duplicates(rows: Iterable[tuple[str, str]], max_similarity: float) -> Iterable[tuple[str, str, float]]:
    """(id, id of the row it is like, similarity) of every row that says the same as one before it.

    `rows` are (id, text) in order of their ids, as datasets have them: of two alike the smaller id stays, whatever the
    shards. In memory is a sketch a row, never the texts.
    """
    known = NearDuplicates(max_similarity)
    for row, text in rows:
        if twin := known.nearest(text):
            yield row, *twin
        else:
            known.add(row, text)


def selected(rows: Iterable[tuple[str, Hashable, int]], seed: int) -> set[str]:
    """The ids that survive, from (id, stratum, length) of every row. Independent of the order of the rows.

    A stratum is what lengths are compared within: language and iteration. A stratum of one row keeps it, since a rank
    among one says nothing.
    """
    strata: dict[Hashable, list[tuple[int, str]]] = defaultdict(list)
    for row, stratum, length in rows:
        strata[stratum].append((length, row))
    return {row for members in strata.values() for row in _kept(sorted(members, reverse=True), seed)}


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
