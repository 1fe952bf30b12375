"""Write a dataset: finished and rejected rows go to a journal, and are committed once, at the end.

with DatasetWriter(folder, RESPONSES, origin, config.store) as writer:
    writer.add(row)
    writer.commit(Outcome(rows_in))
"""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow.compute as pc
from lengthen.common.config.engine import Store
from lengthen.common.process.errors import TransientError
from lengthen.common.store.call_log import CALLS, CallLog
from lengthen.common.store.commit import SELECTED_OUT, Outcome, build_manifest, check_rejected_share, count_faults, count_reasons
from lengthen.common.store.folder_lock import FolderLock
from lengthen.common.store.journal import Journal
from lengthen.common.store.lock import DatasetLock
from lengthen.common.store.manifest import MANIFEST, Manifest, read_manifest
from lengthen.common.store.object_lock import ObjectLock
from lengthen.common.store.origin import WORK, Origin
from lengthen.common.store.paths import Folder, read_json
from lengthen.common.tables.definitions import REJECTED
from lengthen.common.tables.schema import Table
from lengthen.common.text.rejection import Rejection


class DatasetWriter:
    """The only writer of a dataset, within a `with` block. `done` holds the ids of finished rows, including those of earlier runs.

    Raises:
        TransientError: on entering, another process is writing the dataset; later, another process took it over, or the disk is full.
    """

    def __init__(
        self, folder: Folder, table: Table, origin: Origin, store: Store, overwrite: bool = False, *, replays: bool = False
    ) -> None:
        self.folder, self.table, self.origin, self.store, self.overwrite = folder, table, origin, store, overwrite
        self.replays = replays  # a resumed run repeats finished rows from their recorded calls, because later rows depend on them
        self.work = folder / WORK
        self.done: set[str] = set()
        self.resumed = ""  # a message about earlier runs
        self._faults = 0
        self._lock: DatasetLock = (
            FolderLock(folder, store.lease_seconds) if isinstance(folder, Path) else ObjectLock(folder, store.lease_seconds)
        )
        self._rows, self._rejected, calls = (
            Journal(self.work, self._lock, kind, store.flush_rows, store.flush_seconds) for kind in (table, REJECTED, CALLS)
        )
        self.calls = CallLog(calls)

    def __enter__(self) -> DatasetWriter:
        self._lock.acquire()
        try:
            self._resume()
        except BaseException:
            self._lock.release()
            raise
        return self

    def _resume(self) -> None:
        """Load the state that earlier runs left, or delete it (`overwrite`)."""
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
        saved = self.calls.load(set() if self.replays else self.done)
        saved += 0 if self.replays else _count_tokens(self._rows) + _count_tokens(self._rejected)
        self._tokens_lost = int(before.get("tokens_lost", 0)) + max(0, int(before["tokens"]) - saved)
        self.calls.tokens = saved
        self._faults = count_faults(count_reasons(self._rejected))
        if self._runs > 1:
            self.resumed = (
                f"resumes after {self._runs - 1} stopped run{'s' * (self._runs > 2)}: {len(self.done)} rows and {self.calls.resumed} "
                f"engine calls of unfinished rows are done, {self._tokens_lost:,} tokens were lost"
            )
        self._save_spent()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()

    @property
    def local_work(self) -> Path:
        """A local folder for a stage's own unfinished files. It survives a kill if the dataset is on a disk, not in an object store."""
        return self.work if isinstance(self.work, Path) else self._lock.scratch

    @property
    def scratch(self) -> Path:
        """See `DatasetLock`. When another writer takes over, this folder is gone, so no file can be moved from here too late."""
        return self._lock.scratch

    def placing(self, name: str) -> AbstractContextManager[Path]:
        """A temporary path. When the block ends, the file there becomes the file `name` of the dataset's folder."""
        return self._lock.placing(self.folder / name)

    def add(self, row: dict[str, Any]) -> None:
        self._rows.add(row)
        self.done.add(row["id"])

    def reject(self, row: str, parent: str | None, rejection: Rejection) -> None:
        self._rejected.add({"id": row, "parent_id": parent, **rejection._asdict()})
        self._faults += rejection.reason != SELECTED_OUT
        self.done.add(row)

    def check_rejected_share(self, rows_in: float, allowed: float) -> None:
        """Raises: UserError: more rows are rejected than allowed; the message counts the reasons."""
        rows_in = rows_in if self.origin.rows_of_all is None else self.origin.rows_of_all
        if self._faults > allowed * rows_in:
            self.flush()
            check_rejected_share(self.folder, rows_in, None, count_reasons(self._rejected), allowed)

    def require_rows(self, rows_in: int, left: int) -> None:
        """Raises: UserError: no row is left; the message counts the reasons."""
        self.flush()
        check_rejected_share(self.folder, rows_in, left, count_reasons(self._rejected), 1.0)

    def flush_if_due(self) -> None:
        """Save rows and calls that are due, and the time and tokens spent. To be called about once a second, in any thread."""
        self._flush(only_due=True)

    def flush(self) -> None:
        """Save all finished rows and calls."""
        self._flush(only_due=False)

    def _flush(self, only_due: bool) -> None:
        """A row is not saved before its calls, even if another thread adds both meanwhile: a resumed run may need them."""
        counts = [(journal, journal.pending) for journal in (self._rows, self._rejected)]
        for journal, count in [(self.calls.journal, None), *counts]:
            if not only_due or journal.is_due():
                journal.flush(count)
        self._save_spent()

    def commit(self, outcome: Outcome) -> Manifest:
        """Sort everything into parts and write the manifest. Raises as `build_manifest`."""
        self.flush()
        manifest = build_manifest(outcome, self.table, self.origin, self.folder, (self._rows, self._rejected), self._timings)
        if not self._lock.create(self.folder / MANIFEST, manifest.to_json()):
            self._remove_unlisted_parts(manifest)
            raise TransientError(f"{self.folder} was completed by another process in the meantime; that dataset is unchanged")
        self._lock.clear_work()
        return manifest

    def _remove_unlisted_parts(self, ours: Manifest) -> None:
        """Delete our parts that another writer's manifest does not list: readers would refuse the dataset because of them."""
        winner = read_manifest(self.folder)
        listed = {part.path for part in (winner.parts + winner.rejected_parts if winner else [])}
        for part in ours.parts + ours.rejected_parts:
            if part.path not in listed:
                (self.folder / part.path).unlink(missing_ok=True)

    def _timings(self) -> dict[str, Any]:
        tokens = {"tokens_lost": self._tokens_lost, "tokens_ahead": self.calls.tokens_ahead}
        return {"seconds": round(self._seconds(), 1), "runs": self._runs, **tokens}

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def _save_spent(self) -> None:
        """Save seconds and tokens so far. After a kill, the next run compares them with the journal: the difference was lost."""
        spent = {"seconds": self._seconds(), "tokens": self.calls.tokens, "tokens_lost": self._tokens_lost, "runs": self._runs}
        self._write("spent.json", spent)

    def _write(self, name: str, value: dict[str, Any]) -> None:
        content = json.dumps(value)
        with self._lock.placing(self.work / name, len(content)) as temporary:
            temporary.write_text(content)

    def _clear(self) -> None:
        """Delete an older dataset and its journal. The manifest goes first, so that no reader takes the rest for complete."""
        stale = [*self.folder.glob("part-*.parquet"), *(self.folder / ".rejected").glob("part-*.parquet"), *self.work.glob("*.parquet")]
        self._lock.remove([self.folder / MANIFEST, *stale, self.work / "spent.json"])


def _count_tokens(journal: Journal) -> int:
    """The sum of the column `tokens`; 0 if the table has none."""
    if "tokens" not in journal.table.schema.names:
        return 0
    return sum(pc.sum(batch.column("tokens")).as_py() or 0 for batch in journal.batches(["tokens"]))
