"""Describe a manifest in a few lines for the terminal."""

from __future__ import annotations

import textwrap
from typing import Any

from lengthen.common.store.manifest import Manifest

WIDTH = 100  # characters of a line


def describe(manifest: Manifest) -> str:
    """Rows in, out and rejected by reason, tokens and time; then the summary's figures, and one line for each histogram."""
    rejected, ahead = sum(manifest.rejected.values()), manifest.timings.get("tokens_ahead")
    counts = f"{manifest.rows_in} rows in, {manifest.rows_out} out, {rejected} rejected"
    tokens = f"{manifest.tokens:,} tokens" + (f" and {ahead:,} of unneeded attempts" if ahead else "")
    lines = [f"{counts}; {tokens}, {manifest.seconds:.0f} s"]
    if rejected:
        lines.append(_line("rejected", manifest.rejected, by_count=True))
    numbers = {name: value for name, value in manifest.summary.items() if isinstance(value, int | float)}
    if numbers:
        lines.append(_wrapped("figures", ", ".join(f"{_plain(name)} {_number(value)}" for name, value in numbers.items())))
    lines += [_line(name, value) for name, value in manifest.summary.items() if _is_histogram(value)]
    return "\n".join(lines)


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
