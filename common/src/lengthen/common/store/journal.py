"""The journal of an incomplete dataset: finished rows in `.work/`, flushed after a number of rows or seconds.

Each flush writes one small Parquet file under a new name, atomically. A killed stage loses what it finished after the last
flush, and resumes from the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.store.lock import DatasetLock
from lengthen.common.store.paths import Folder, list_files, open_parquet
from lengthen.common.tables.schema import Table


class Journal:
    """Rows of one table in files `NAME-*.parquet` of a folder. Only the lock's holder can write them.

    Rows may be added in one thread while another saves them.
    """

    def __init__(self, folder: Folder, lock: DatasetLock, table: Table, flush_rows: int, flush_seconds: float) -> None:
        self.folder, self.lock, self.table = folder, lock, table
        self.flush_rows = flush_rows
        # `flush_if_due` is called every quarter of flush_seconds: rows that would be older than that at the next call are saved now.
        self._due_seconds = flush_seconds * 3 / 4
        self._pending: list[dict[str, Any]] = []
        self._since = time.monotonic()
        self._writer, self._flushes = uuid4().hex[:8], 0
        self._flushing = threading.Lock()

    def add(self, row: dict[str, Any]) -> None:
        if not self._pending:
            self._since = time.monotonic()
        self._pending.append(row)
        if len(self._pending) >= self.flush_rows:
            self.flush()

    @property
    def pending(self) -> int:
        """The number of unsaved rows."""
        return len(self._pending)

    def is_due(self) -> bool:
        return bool(self._pending) and time.monotonic() - self._since >= self._due_seconds

    def flush(self, count: int | None = None) -> None:
        """Save the first `count` pending rows, by default all.

        Raises:
            TransientError: the disk is full or failing, or another writer took the lock over. The rows stay pending.
        """
        with self._flushing:
            pending = self._pending[:count]
            if not pending:
                return
            since = time.monotonic()
            path = self.folder / f"{self.table.name}-{self._writer}-{self._flushes:06d}.parquet"
            rows = pa.Table.from_pylist(pending, self.table.schema)
            with self.lock.placing(path, rows.nbytes) as temporary:
                pq.write_table(rows, temporary, compression="zstd")
            self._flushes += 1
            self._since = since
            del self._pending[: len(pending)]

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The flushed rows, of this process and of earlier ones."""
        for path in list_files(self.folder, f"{self.table.name}-*.parquet"):
            with open_parquet(path) as file:
                yield from file.iter_batches(1024, columns=columns)
