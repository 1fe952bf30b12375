"""A dataset in one line, from its manifest."""

from __future__ import annotations

from lengthen.common.store.manifest import Manifest


def describe(manifest: Manifest) -> str:
    """Rows in, out and rejected by reason, tokens and time."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(manifest.rejected.items(), key=lambda item: -item[1]))
    rejected = f"{sum(manifest.rejected.values())} rejected" + (f" ({reasons})" if reasons else "")
    return f"{manifest.rows_in} rows in, {manifest.rows_out} out, {rejected}; {manifest.tokens:,} tokens, {manifest.seconds:.0f} s"
