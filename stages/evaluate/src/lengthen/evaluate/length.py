"""Scores of a text's length against what was asked for, as the benchmarks define them (shown in the stage's README)."""

from __future__ import annotations


def length_score(words: int, lower: int, upper: int) -> float:
    """LonGen's score in [0, 1]: 1 inside [a, b]; max(0, 2g/a - 1) when shorter; max(0, 3 - 2g/b) when longer."""
    if words < lower:
        return max(0.0, 2 * words / lower - 1)
    if words > upper:
        return max(0.0, 3 - 2 * words / upper)
    return 1.0


def s_l(words: int, asked: int) -> float:
    """LongBench-Write's S_l in [0, 100] for y words written and x asked for.

    100 max(0, 1 - (y/x - 1)/3) when y > x, else 100 max(0, 1 - (x/y - 1)/2), and 0 when y = 0.
    """
    if words == 0:
        return 0.0
    if words > asked:
        return 100 * max(0.0, 1 - (words / asked - 1) / 3)
    return 100 * max(0.0, 1 - (asked / words - 1) / 2)
