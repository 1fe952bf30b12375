"""Complete a dataset: sort the journal into parts, compute the figures of its rows, and describe both in a manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lengthen.common.process.environment import environment
from lengthen.common.process.errors import UserError
from lengthen.common.store.compaction import compact
from lengthen.common.store.figures import NO_FIGURES, Figures, Row
from lengthen.common.store.journal import Journal
from lengthen.common.store.manifest import Manifest, Part
from lengthen.common.store.origin import Origin
from lengthen.common.store.paths import Folder
from lengthen.common.store.reader import read_files
from lengthen.common.tables.schema import Table

SELECTED_OUT = "selected_out"  # the reason of rows that length-biased selection removes


@dataclass(frozen=True)
class Outcome:
    """A stage's report when each of its rows is made or rejected."""

    rows_in: int  # rows to make
    max_rejected_share: float = 1.0
    figures: Figures = NO_FIGURES
    rows_used: int | None = None  # input rows that were used, for a stage whose result is not rows (an adapter)
    summary: dict[str, Any] | None = None  # replaces `figures`, for a stage whose rows do not contain them


def build_manifest(
    outcome: Outcome, table: Table, origin: Origin, folder: Folder, journals: tuple[Journal, Journal], timings: Callable[[], dict[str, Any]]
) -> Manifest:
    """Sort the journals of rows and rejected rows into parts, and describe them.

    Raises:
        UserError: no row is left (of a dataset that is no shard), or more rows are rejected than the allowed share.
    """
    rows, rejected = journals
    reasons = count_reasons(rejected)
    parts, digest = compact(rows, folder)
    rejected_parts, _ = compact(rejected, folder, ".rejected")
    rows_out = sum(part.rows for part in parts) if outcome.rows_used is None else outcome.rows_used
    if outcome.rows_in != rows_out + reasons.total():
        raise RuntimeError(f"{outcome.rows_in} rows in, but {rows_out} out and {reasons.total()} rejected: a row was lost")
    rows_of_all = outcome.rows_in if origin.rows_of_all is None else origin.rows_of_all
    rows_left = rows_out if origin.rows_of_all is None else None
    check_rejected_share(folder, rows_of_all, rows_left, reasons, outcome.max_rejected_share)
    tokens = sum(_count_tokens(folder, written, kind) for written, kind in ((parts, table), (rejected_parts, rejected.table)))
    figures = outcome.figures
    return Manifest(
        table=table.name,
        version=table.version,
        parts=parts,
        rejected_parts=rejected_parts,
        rows_in=outcome.rows_in,
        rows_out=rows_out,
        rejected=dict(sorted(reasons.items())),
        content_digest=digest,
        fingerprint=origin.fingerprint,
        lineage=origin.lineage,
        tokens=tokens,
        summary=figures.of(_read_rows(folder, parts, list(figures.columns)), tokens) if outcome.summary is None else outcome.summary,
        timings={"finished_at": datetime.now(UTC).isoformat(timespec="seconds"), **timings()},
        environment=environment(),
        max_rejected_share=outcome.max_rejected_share,
    )


def count_reasons(rejected: Journal) -> Counter[str]:
    """Rejected rows by reason, each id counted once."""
    reason_of = {row["id"]: row["reason"] for batch in rejected.batches(["id", "reason"]) for row in batch.to_pylist()}
    return Counter(reason_of.values())


def count_faults(reasons: Counter[str]) -> int:
    """Rows that were rejected for a fault: all but those that selection removed."""
    return reasons.total() - reasons[SELECTED_OUT]


def check_rejected_share(
    folder: Folder, rows_in: float, rows_out: int | None, reasons: Counter[str], allowed: float, *, advice: str = ""
) -> None:
    """Stop a stage that rejects too many rows.

    Args:
        rows_out: rows that are left; None while the stage is running, and for a shard.
        advice: what the user can do; by default what applies to a stage.

    Raises:
        UserError: no row is left, or more rows are rejected than the allowed share; the message counts the reasons.
    """
    counts = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    if rows_out == 0:
        raise UserError(
            f"{folder}: no row is left of {rows_in} ({counts or 'the input is empty'}); "
            + (advice or f"look at the rejected texts in {folder / '.work'}, then relax that filter, or give more rows")
        )
    if count_faults(reasons) > allowed * rows_in:
        raise UserError(
            f"{folder}: {count_faults(reasons)} of {rows_in} rows were rejected, more than the allowed share {allowed} ({counts}); "
            + (advice or f"look at the texts in {folder / '.work'}, then relax that filter, correct the input, or raise max_rejected_share")
        )


def _count_tokens(folder: Folder, parts: list[Part], table: Table) -> int:
    """The sum of the column `tokens`; 0 if the table has none."""
    columns = [name for name in table.schema.names if name == "tokens"]
    return sum(row["tokens"] for row in _read_rows(folder, parts, columns))


def _read_rows(folder: Folder, parts: list[Part], columns: list[str]) -> Iterator[Row]:
    """Rows with the given columns, in order of their ids; no rows if there are no columns."""
    return read_files([folder / part.path for part in parts], columns) if columns else iter(())
