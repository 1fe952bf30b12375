"""The journal of a dataset in the making: finished rows in `.work/`, flushed by count or by time.

Each flush is one small Parquet file with a name of its own, renamed into place after fsync: a kill costs what came after
the last flush, and a stage that starts again finds the rest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.store.lock import Hold
from lengthen.common.store.place import Folder, found, open_parquet
from lengthen.common.tables import Table


class Journal:
    """Rows of one table in a folder, in files `NAME-*.parquet`, put there by the lock's holder."""

    def __init__(self, folder: Folder, lock: Hold, table: Table, flush_rows: int, flush_seconds: float) -> None:
        self.folder, self.lock, self.table = folder, lock, table
        self.flush_rows = flush_rows
        # Looked at every quarter of flush_seconds: what could be older than that at the next look is saved at this one.
        self._due_seconds = flush_seconds * 3 / 4
        self._pending: list[dict[str, Any]] = []
        self._since = time.monotonic()
        self._writer, self._flushes = uuid4().hex[:8], 0

    def add(self, row: dict[str, Any]) -> None:
        if not self._pending:
            self._since = time.monotonic()
        self._pending.append(row)
        self.flush_if_due()

    def flush_if_due(self) -> None:
        if len(self._pending) >= self.flush_rows or (self._pending and time.monotonic() - self._since >= self._due_seconds):
            self.flush()

    def flush(self) -> None:
        """Save what is pending.

        Raises:
            TransientError: the disk is full or failing, or another writer took over; the rows stay pending.
        """
        if not self._pending:
            return
        path = self.folder / f"{self.table.name}-{self._writer}-{self._flushes:06d}.parquet"
        rows = pa.Table.from_pylist(self._pending, self.table.schema)
        with self.lock.placing(path, rows.nbytes) as temporary:
            pq.write_table(rows, temporary, compression="zstd")
        self._flushes += 1
        self._pending.clear()

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """What was flushed, by this process and by earlier ones."""
        for path in found(self.folder, f"{self.table.name}-*.parquet"):
            with open_parquet(path) as file:
                yield from file.iter_batches(1024, columns=columns)
