"""Figures of a stage's rows: their lengths, and the tokens and attempts that they took."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

_GROWTH = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0)  # the histogram's edges


def yield_figures(words: Sequence[int], tokens: int, attempts: Sequence[int], growth: Sequence[float] = ()) -> dict[str, Any]:
    """The figures of a stage's accepted rows; their order does not matter.

    Args:
        words: the length of each accepted text.
        tokens: generated for all rows, including rejected ones.
        attempts: the number of each accepted row.
        growth: words after / words before, of each row of expand.
    """
    figures: dict[str, Any] = {"mean_words": mean(words), "tokens_per_word": tokens / sum(words) if sum(words) else None}
    figures["attempts"] = {str(number): count for number, count in sorted(Counter(attempts).items())}
    if growth:
        bins = Counter(bisect_right(_GROWTH, value) for value in growth)
        figures |= {"mean_growth": mean(growth), "growth": {_growth_bin(at): count for at, count in sorted(bins.items())}}
    return figures


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are not None; None if there are none. Exact, so that their order does not matter."""
    present = [value for value in values if value is not None]
    return math.fsum(present) / len(present) if present else None


def _growth_bin(at: int) -> str:
    edges = [f"{edge:g}" for edge in _GROWTH]
    return f"{edges[at - 1]} to {edges[at]}" if 0 < at < len(edges) else f"over {edges[-1]}" if at else "below 1"
