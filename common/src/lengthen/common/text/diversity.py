"""How varied a collection of texts is."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import combinations

from lengthen.common.text.duplicates import shingles
from lengthen.common.text.words import units


def distinct(texts: Iterable[str], n: int) -> float:
    """distinct-n: the number of different n-grams / the number of n-grams of all texts, in [0, 1]; 1 if there are none."""
    seen: set[tuple[str, ...]] = set()
    count = 0
    for text in texts:
        sequence = units(text)
        grams = list(zip(*(sequence[start:] for start in range(n)), strict=False))
        seen.update(grams)
        count += len(grams)
    return len(seen) / count if count else 1.0


def mean_similarity(texts: Sequence[str], seed: int, pairs: int = 1000) -> float:
    """Mean Jaccard similarity of the shingles of two texts, in [0, 1]; 0 for fewer than two texts.

    Of all pairs if there are at most `pairs` of them, otherwise of `pairs` random ones.
    """
    count = len(texts)
    if count < 2:
        return 0.0
    if count * (count - 1) // 2 <= pairs:
        chosen = list(combinations(range(count), 2))
    else:
        dice = random.Random(seed)
        chosen = [(first, second) for first, second in (dice.sample(range(count), 2) for _ in range(pairs))]
    sets = {number: shingles(texts[number]) for pair in chosen for number in pair}
    return sum(len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in chosen) / len(chosen)
