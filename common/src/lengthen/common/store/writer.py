"""Writing a dataset: rows and rejected rows are journalled as they come, and committed once, at the end.

with DatasetWriter(folder, RESPONSES, origin, config.store) as writer:
    writer.add(row)
    writer.commit(rows_in, summary)
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from lengthen.common.environment import environment
from lengthen.common.errors import TransientError, UserError
from lengthen.common.settings import Store
from lengthen.common.store.calls import CALLS, Calls
from lengthen.common.store.compaction import compact
from lengthen.common.store.journal import Journal
from lengthen.common.store.lock import Hold, Lock
from lengthen.common.store.manifest import MANIFEST, Manifest, Part, read_manifest
from lengthen.common.store.object_lock import ObjectLock
from lengthen.common.store.origin import WORK, Origin, read_json
from lengthen.common.store.place import Folder
from lengthen.common.tables import REJECTED, Table

SELECTED_OUT = "selected_out"  # the reason of rows that length-biased selection leaves out


class DatasetWriter:
    """The one writer of a dataset, from `with` to its end. `done` holds the ids that an earlier, stopped run has finished.

    Raises:
        TransientError: on entering: somebody else writes the dataset; later: somebody has taken it over, or the disk is full.
    """

    def __init__(
        self, folder: Folder, table: Table, origin: Origin, store: Store, overwrite: bool = False, *, replays: bool = False
    ) -> None:
        self.folder, self.table, self.origin, self.store, self.overwrite = folder, table, origin, store, overwrite
        self.replays = replays  # a resumed run goes through finished rows' calls again, since later rows depend on them
        self.work = folder / WORK
        self.done: set[str] = set()
        self.resumed = ""  # what earlier runs have left, in words
        self._rejections = 0
        self._lock: Hold = _lock(folder, store.lease_seconds)
        self._rows, self._rejected, calls = (
            Journal(self.work, self._lock, kind, store.flush_rows, store.flush_seconds) for kind in (table, REJECTED, CALLS)
        )
        self.calls = Calls(calls)

    def __enter__(self) -> DatasetWriter:
        self._lock.acquire()
        try:
            self._resume()
        except BaseException:
            self._lock.release()
            raise
        return self

    def _resume(self) -> None:
        """Find out what earlier runs have left, or clear it away."""
        if self.overwrite:
            self._clear()
        elif read_manifest(self.folder):
            raise TransientError(f"{self.folder} was completed by another process just now; run the same command again")
        self._write("fingerprint.json", self.origin.fingerprint)
        self._started = time.monotonic()
        before = read_json(self.work / "spent.json") or {"seconds": 0.0, "tokens": 0, "runs": 0}
        self._seconds_before, self._runs = float(before["seconds"]), int(before["runs"]) + 1
        for journal in (self._rows, self._rejected):
            for batch in journal.batches(["id"]):
                self.done.update(batch.column("id").to_pylist())
        kept = self.calls.load(set() if self.replays else self.done)
        kept += 0 if self.replays else _tokens(self._rows) + _tokens(self._rejected)
        self._tokens_lost = int(before.get("tokens_lost", 0)) + max(0, int(before["tokens"]) - kept)
        self.calls.tokens = kept
        self._rejections = _refused(self._reasons())
        if self._runs > 1:
            self.resumed = (
                f"goes on after {self._runs - 1} stopped run{'s' * (self._runs > 2)}: {len(self.done)} rows and {self.calls.kept} "
                f"engine calls of unfinished rows are kept, {self._tokens_lost:,} tokens were lost"
            )
        self._save_spent()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()

    @property
    def local_work(self) -> Path:
        """A folder of this machine for a stage's own unfinished files; it outlives a kill where the dataset lies on a disk."""
        return self.work if isinstance(self.work, Path) else self._lock.scratch

    @property
    def scratch(self) -> Path:
        """This writer's own folder, moved away by whoever takes over: what is moved into place from here can't be too late."""
        return self._lock.scratch

    def placing(self, name: str) -> AbstractContextManager[Path]:
        """A temporary path; what was written there becomes the dataset's side file `name` when the block ends."""
        return self._lock.placing(self.folder / name)

    def add(self, row: dict[str, Any]) -> None:
        self._rows.add(row)
        self.done.add(row["id"])

    def reject(self, row: str, parent: str | None, reason: str, detail: str, text: str = "", attempts: int = 0, tokens: int = 0) -> None:
        values = {"id": row, "parent_id": parent, "reason": reason, "detail": detail}
        self._rejected.add({**values, "text": text, "attempts": attempts, "tokens": tokens})
        self._rejections += reason != SELECTED_OUT
        self.done.add(row)

    def refuse_share(self, rows_in: int, allowed: float) -> None:
        """Stop as soon as more rows are rejected than may be.

        Raises:
            UserError: names the reasons.
        """
        if self._rejections > allowed * rows_in:
            self.flush()
            raise self._too_many(rows_in, self._reasons(), allowed)

    def flush_if_due(self) -> None:
        """Save what has waited long enough, and what was spent. To be called about once a second."""
        for journal in (self._rows, self._rejected, self.calls.journal):
            journal.flush_if_due()
        self._save_spent()

    def flush(self) -> None:
        """Save everything that is finished."""
        for journal in (self._rows, self._rejected, self.calls.journal):
            journal.flush()
        self._save_spent()

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
        """
        self.flush()
        reasons = self._reasons()
        parts, digest = compact(self._rows, self.folder)
        rejected_parts, _ = compact(self._rejected, self.folder, ".rejected")
        rows_out = sum(part.rows for part in parts) if rows_used is None else rows_used
        if rows_in != rows_out + reasons.total():
            raise RuntimeError(f"{rows_in} rows in, but {rows_out} out and {reasons.total()} rejected: a row was lost")
        self._judge_share(rows_in, rows_out, reasons, max_rejected_share)
        spent = self.tokens_spent() if tokens is None else tokens
        manifest = self._manifest(parts, rejected_parts, digest, rows_in, rows_out, reasons, spent, summary)
        if not self._lock.create(self.folder / MANIFEST, manifest.to_json()):
            self._withdraw(parts + rejected_parts)
            raise TransientError(f"{self.folder} was completed by another process meanwhile; its rows stand")
        self._lock.clear_work()
        return manifest

    def _withdraw(self, parts: list[Part]) -> None:
        """Remove parts of ours that another writer's manifest doesn't list: a reader would stumble over them."""
        winner = read_manifest(self.folder)
        listed = {part.path for part in (winner.parts + winner.rejected_parts if winner else [])}
        for part in parts:
            if part.path not in listed:
                (self.folder / part.path).unlink(missing_ok=True)

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of every flushed row, for a stage's summary."""
        return pa.chunked_array([batch.column(name) for batch in self._rows.batches([name])], self.table.schema.field(name).type)

    def mean(self, name: str) -> float:
        """The mean of a numeric column; 0 without rows."""
        values = self.column(name).to_pylist()
        return math.fsum(values) / len(values) if values else 0.0  # exact: the journal has its rows in any order

    def tokens_spent(self) -> int:
        """Generated for flushed rows, the rejected ones included."""
        return _tokens(self._rows) + _tokens(self._rejected)

    def require_rows(self, rows_in: int, left: int) -> None:
        """Refuse to go on with nothing.

        Raises:
            UserError: no row is left: says which reasons took them.
        """
        self.flush()
        if not left:
            self._judge_share(rows_in, 0, self._reasons(), 1.0)

    def _manifest(
        self,
        parts: list[Part],
        rejected_parts: list[Part],
        digest: str,
        rows_in: int,
        rows_out: int,
        reasons: Counter[str],
        tokens: int,
        summary: dict[str, Any],
    ) -> Manifest:
        return Manifest(
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
            tokens=tokens,
            summary=summary,
            timings={
                "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(self._seconds(), 1),
                "runs": self._runs,
                "tokens_lost": self._tokens_lost,
            },
            environment=environment(),
        )

    def _reasons(self) -> Counter[str]:
        """How many rows each reason took, every id once."""
        taken = {row["id"]: row["reason"] for batch in self._rejected.batches(["id", "reason"]) for row in batch.to_pylist()}
        return Counter(taken.values())

    def _judge_share(self, rows_in: int, rows_out: int, reasons: Counter[str], allowed: float) -> None:
        taken = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        if rows_out == 0:
            raise UserError(
                f"{self.folder}: no row is left of {rows_in} ({taken or 'the input is empty'}); "
                f"look at the rejected texts in {self.work}, then loosen that filter or give more rows"
            )
        if _refused(reasons) > allowed * rows_in:
            raise self._too_many(rows_in, reasons, allowed)

    def _too_many(self, rows_in: int, reasons: Counter[str], allowed: float) -> UserError:
        taken = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        return UserError(
            f"{self.folder}: {_refused(reasons)} of {rows_in} rows were rejected, more than the allowed share {allowed} ({taken}); "
            f"look at the texts in {self.work}, then loosen that filter, mend the input, or raise max_rejected_share"
        )

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def _save_spent(self) -> None:
        """Time and tokens so far, for the run after a kill: what it can't find in the journal was lost."""
        spent = {"seconds": self._seconds(), "tokens": self.calls.tokens, "tokens_lost": self._tokens_lost, "runs": self._runs}
        self._write("spent.json", spent)

    def _write(self, name: str, value: dict[str, Any]) -> None:
        content = json.dumps(value)
        with self._lock.placing(self.work / name, len(content)) as temporary:
            temporary.write_text(content)

    def _clear(self) -> None:
        """Remove an older dataset and its journal: the manifest first, so that no reader takes what is left for complete."""
        stale = [*self.folder.glob("part-*.parquet"), *(self.folder / ".rejected").glob("part-*.parquet"), *self.work.glob("*.parquet")]
        self._lock.remove([self.folder / MANIFEST, *stale, self.work / "spent.json"])


def _refused(reasons: Counter[str]) -> int:
    """Rows that were rejected for a fault. To be selected out is none."""
    return reasons.total() - reasons[SELECTED_OUT]


def _lock(folder: Folder, lease_seconds: float) -> Hold:
    return Lock(folder, lease_seconds) if isinstance(folder, Path) else ObjectLock(folder, lease_seconds)


def _tokens(journal: Journal) -> int:
    """The tokens of a journal's rows; 0 where the table has no such column."""
    if "tokens" not in journal.table.schema.names:
        return 0
    return sum(pc.sum(batch.column("tokens")).as_py() or 0 for batch in journal.batches(["tokens"]))
