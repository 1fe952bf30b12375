"""What a stage has made and what it cost: figures for the manifest, and a few lines for the terminal."""

from __future__ import annotations

import math
import textwrap
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from lengthen.common.store.manifest import Manifest

WIDTH = 100  # of a terminal, at most
_GROWTH = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0)  # the histogram's edges


def yield_figures(words: Sequence[int], tokens: int, attempts: Sequence[int], growth: Sequence[float] = ()) -> dict[str, Any]:
    """A stage's yield over its accepted rows, whatever their order.

    Args:
        words: of each accepted text.
        tokens: generated for all rows, the rejected ones included.
        attempts: that each accepted row took.
        growth: words after / words before of each, in expand.
    """
    figures: dict[str, Any] = {"mean_words": mean(words), "tokens_per_word": tokens / sum(words) if sum(words) else None}
    figures["attempts"] = {str(number): count for number, count in sorted(Counter(attempts).items())}
    if growth:
        bins = Counter(bisect_right(_GROWTH, value) for value in growth)
        figures |= {"mean_growth": mean(growth), "growth": {_growth_bin(at): count for at, count in sorted(bins.items())}}
    return figures


def mean(values: Iterable[float | None]) -> float | None:
    """Of the values that are there; None without any. Exact, so that their order doesn't matter."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def describe(manifest: Manifest) -> str:
    """Rows in, out and rejected by reason, tokens and time; below, a line a figure or histogram of the summary."""
    rejected = sum(manifest.rejected.values())
    lines = [
        f"{manifest.rows_in} rows in, {manifest.rows_out} out, {rejected} rejected; {manifest.tokens:,} tokens, {manifest.seconds:.0f} s"
    ]
    if rejected:
        lines.append(_line("rejected", manifest.rejected, by_count=True))
    numbers = {name: value for name, value in manifest.summary.items() if isinstance(value, int | float)}
    if numbers:
        lines.append(_wrapped("figures", ", ".join(f"{_plain(name)} {_number(value)}" for name, value in numbers.items())))
    lines += [_line(name, value) for name, value in manifest.summary.items() if _is_histogram(value)]
    return "\n".join(lines)


def _growth_bin(at: int) -> str:
    edges = [f"{edge:g}" for edge in _GROWTH]
    return f"{edges[at - 1]} to {edges[at]}" if 0 < at < len(edges) else f"over {edges[-1]}" if at else "below 1"


def _line(name: str, counts: dict[str, int], by_count: bool = False) -> str:
    items = sorted(counts.items(), key=lambda item: -item[1]) if by_count else counts.items()
    return _wrapped(name, ", ".join(f"{key}{' ' if by_count else ': '}{count:,}" for key, count in items))


def _wrapped(name: str, text: str) -> str:
    start = f"  {_plain(name):<10} "
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)


def _is_histogram(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(count, int | float) for count in value.values())


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
