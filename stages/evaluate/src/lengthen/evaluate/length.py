"""Scores of a text's length against the required length, as the benchmarks define them (see the stage's README)."""

from __future__ import annotations


def length_score(words: int, lower: int, upper: int) -> float:
    """LonGen's score in [0, 1] of g words: 1 within [a, b]; max(0, 2g/a - 1) if shorter; max(0, 3 - 2g/b) if longer."""
    if words < lower:
        return max(0.0, 2 * words / lower - 1)
    if words > upper:
        return max(0.0, 3 - 2 * words / upper)
    return 1.0


def s_l(words: int, required: int) -> float:
    """LongBench-Write's S_l in [0, 100] for y words written and x words required.

    100 max(0, 1 - (y/x - 1)/3) when y > x, else 100 max(0, 1 - (x/y - 1)/2), and 0 when y = 0.
    """
    if words == 0:
        return 0.0
    if words > required:
        return 100 * max(0.0, 1 - (words / required - 1) / 3)
    return 100 * max(0.0, 1 - (required / words - 1) / 2)
