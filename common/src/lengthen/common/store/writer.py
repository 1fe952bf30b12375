"""Writing a dataset: rows and rejected rows are journalled as they come, and committed once, at the end."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lengthen.common.config import Store
from lengthen.common.environment import environment
from lengthen.common.errors import UserError
from lengthen.common.store.compaction import compact
from lengthen.common.store.files import create_exclusively, write_bytes
from lengthen.common.store.journal import Journal
from lengthen.common.store.manifest import MANIFEST, Manifest, differences, read_manifest
from lengthen.common.tables import REJECTED, Table

WORK = ".work"


@dataclass(frozen=True)
class Origin:
    """What a dataset is made from: the fingerprint decides its rows, the lineage says where they came from."""

    fingerprint: dict[str, Any]
    lineage: dict[str, Any] = field(default_factory=dict)


def completed(folder: Path, origin: Origin, overwrite: bool) -> Manifest | None:
    """The manifest of a dataset that is complete for this fingerprint, or None when it has to be made.

    Raises:
        UserError: it is complete, or begun, for another fingerprint: names what differs.
    """
    manifest = read_manifest(folder)
    before = manifest.fingerprint if manifest else _begun_fingerprint(folder)
    if before is None or overwrite:
        return manifest if manifest and before == origin.fingerprint and not overwrite else None
    if changed := differences(before, json.loads(json.dumps(origin.fingerprint))):
        state = "is complete" if manifest else "is begun"
        raise UserError(f"{folder} {state} with other settings ({'; '.join(changed)}); give another --output, or --overwrite")
    return manifest


class DatasetWriter:
    """Collects a dataset's rows. `done` holds the ids that an earlier, stopped run has finished."""

    def __init__(self, folder: Path, table: Table, origin: Origin, store: Store, overwrite: bool = False) -> None:
        self.folder, self.table, self.origin = folder, table, origin
        self.work = folder / WORK
        if overwrite:
            _clear(folder)
        self.work.mkdir(parents=True, exist_ok=True)
        write_bytes(self.work / "fingerprint.json", json.dumps(origin.fingerprint).encode())
        self._rows = Journal(self.work, table, store.flush_rows, store.flush_seconds)
        self._rejected = Journal(self.work, REJECTED, store.flush_rows, store.flush_seconds)
        self._started = time.monotonic()
        self._seconds_before = self._read_seconds()
        self.done: set[str] = set()
        for journal in (self._rows, self._rejected):
            for batch in journal.batches(["id"]):
                self.done.update(batch.column("id").to_pylist())

    def add(self, row: dict[str, Any]) -> None:
        self._rows.add(row)
        self.done.add(row["id"])

    def reject(self, row: str, parent: str | None, reason: str, detail: str, text: str = "", attempts: int = 0, tokens: int = 0) -> None:
        self._rejected.add(
            {"id": row, "parent_id": parent, "reason": reason, "detail": detail, "text": text, "attempts": attempts, "tokens": tokens}
        )
        self.done.add(row)

    def flush_if_due(self) -> None:
        self._rows.flush_if_due()
        self._rejected.flush_if_due()

    def flush(self) -> None:
        """Save everything that is finished, and the time spent so far."""
        self._rows.flush()
        self._rejected.flush()
        write_bytes(self.work / "seconds.json", json.dumps(self._seconds()).encode())

    def commit(
        self,
        rows_in: int,
        summary: dict[str, Any],
        max_rejected_share: float = 1.0,
        *,
        rows_used: int | None = None,
        tokens: int | None = None,
    ) -> Manifest:
        """Sort everything into parts and write the manifest.

        Args:
            rows_in: how many rows were to be made.
            summary: figures of the stage for the manifest.
            max_rejected_share: more rejected rows than this stop the run.
            rows_used: rows in that came through, where they became something else than rows (an adapter).
            tokens: generated, where the rows don't say it.

        Raises:
            UserError: no row is left, or more than the allowed share was rejected: says which reasons took them.
        """
        self.flush()
        reasons, spent = self._count(self._rejected, "reason")
        made, written = self._count(self._rows, "id")
        rows_out = made.total() if rows_used is None else rows_used
        if rows_in != rows_out + reasons.total():
            raise RuntimeError(f"{rows_in} rows in, but {rows_out} out and {reasons.total()} rejected: a row was lost")
        self._judge_share(rows_in, rows_out, reasons, max_rejected_share)
        parts, digest = compact(self._rows, self.folder)
        rejected_parts, _ = compact(self._rejected, self.folder, ".rejected")
        manifest = Manifest(
            table=self.table.name,
            version=self.table.version,
            parts=parts,
            rejected_parts=rejected_parts,
            rows_in=rows_in,
            rows_out=rows_out,
            rejected=dict(sorted(reasons.items())),
            content_digest=digest,
            fingerprint=self.origin.fingerprint,
            lineage=self.origin.lineage,
            tokens=spent + written if tokens is None else tokens,
            summary=summary,
            seconds=round(self._seconds(), 1),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            environment=environment(),
        )
        if not create_exclusively(self.folder / MANIFEST, manifest.to_json()):
            raise UserError(f"{self.folder} was completed by another process meanwhile; nothing to do")
        shutil.rmtree(self.work, ignore_errors=True)
        return manifest

    def rows(self, columns: list[str]) -> list[dict[str, Any]]:
        """Columns of every flushed row, for a stage's summary."""
        return [row for batch in self._rows.batches(columns) for row in batch.to_pylist()]

    def require_rows(self, rows_in: int, left: int) -> None:
        """Refuse to go on with nothing.

        Raises:
            UserError: no row is left: says which reasons took them.
        """
        self.flush()
        if not left:
            self._judge_share(rows_in, 0, self._count(self._rejected, "reason")[0], 1.0)

    def _count(self, journal: Journal, column: str) -> tuple[Counter[str], int]:
        """How often each value of a column stands in a journal, and the tokens of its rows."""
        has_tokens = "tokens" in journal.table.schema.names
        values: Counter[str] = Counter()
        tokens = 0
        for batch in journal.batches([column, "tokens"] if has_tokens else [column]):
            values.update(batch.column(column).to_pylist())
            tokens += sum(batch.column("tokens").to_pylist()) if has_tokens else 0
        return values, tokens

    def _judge_share(self, rows_in: int, rows_out: int, reasons: Counter[str], allowed: float) -> None:
        taken = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        if rows_out == 0:
            raise UserError(
                f"{self.folder}: no row is left of {rows_in} ({taken or 'the input is empty'}); "
                f"look at the rejected texts in {self.work}, then loosen that filter or give more rows"
            )
        if reasons.total() > allowed * rows_in:
            raise UserError(
                f"{self.folder}: {reasons.total()} of {rows_in} rows were rejected, more than the allowed share {allowed} ({taken})"
            )

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def _read_seconds(self) -> float:
        path = self.work / "seconds.json"
        return float(json.loads(path.read_text())) if path.exists() else 0.0


def _begun_fingerprint(folder: Path) -> dict[str, Any] | None:
    path = folder / WORK / "fingerprint.json"
    if not path.exists():
        return None
    fingerprint: dict[str, Any] = json.loads(path.read_text())
    return fingerprint


def _clear(folder: Path) -> None:
    """Remove an older dataset: its manifest first, so that no reader takes what is left for complete."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for part in folder.glob("*part-*.parquet"):
        part.unlink()
    for side in (".rejected", WORK):
        shutil.rmtree(folder / side, ignore_errors=True)
