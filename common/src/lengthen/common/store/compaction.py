"""Turn the journal into the final parts: sorted by id, in bounded memory, with bytes that do not depend on the journal's files.

Rows are divided into buckets by the first digits of their ids (hashes, so buckets have equal sizes). Each bucket is sorted in
memory and becomes one part. Parts are written in the writer's scratch folder, then moved into the dataset.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from lengthen.common.store.files import disk_errors
from lengthen.common.store.journal import Journal
from lengthen.common.store.lock import DatasetLock
from lengthen.common.store.manifest import Part
from lengthen.common.store.paths import Folder, file_digest

BUCKET_BYTES = 32 * 2**20  # of text; sorting and encoding need a few times as much memory
_ROW_GROUP = 1024


def compact(journal: Journal, root: Folder, folder: str = ".") -> tuple[list[Part], str]:
    """Write `root/folder/part-*.parquet` from everything in the journal.

    Returns:
        The parts, and the digest of all rows in order of their ids.
    """
    size = sum(_text_bytes(batch) for batch in journal.batches())
    buckets = 1 if size <= BUCKET_BYTES else min(4096, 2 ** (size // BUCKET_BYTES).bit_length())
    journal.lock.remove(list((root / folder).glob("*part-*.parquet")))
    digest = RowDigest()
    parts = []
    for number, table in enumerate(_sorted_buckets(journal, buckets)):
        for batch in table.to_batches(_ROW_GROUP):
            for row in batch.to_pylist():
                digest.add(row)
        if table.num_rows:
            parts.append(_write_part(table, root, folder, number, journal.lock))
    return parts, digest.hexdigest()


class RowDigest:
    """A digest of rows in order of their ids. It does not depend on their division into parts and shards."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, row: dict[str, Any]) -> None:
        self._digest.update(json.dumps(row, ensure_ascii=True, sort_keys=True).encode() + b"\n")

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _sorted_buckets(journal: Journal, buckets: int) -> Iterator[pa.Table]:
    schema = journal.table.schema
    if buckets == 1:
        yield _sorted(pa.Table.from_batches(journal.batches(), schema))
        return
    scratch = journal.lock.scratch / "buckets"
    scratch.mkdir()
    paths = [scratch / f"{number:04d}.arrow" for number in range(buckets)]
    writers = [pa.ipc.new_file(path, schema) for path in paths]
    for batch in journal.batches():
        rows_of: dict[int, list[int]] = {}
        for index, row in enumerate(batch.column("id").to_pylist()):
            rows_of.setdefault(int(row[:4], 16) * buckets >> 16, []).append(index)
        for number, rows in rows_of.items():
            writers[number].write_batch(batch.take(pa.array(rows)).cast(schema))
    for writer in writers:
        writer.close()
    for path in paths:
        with pa.ipc.open_file(path) as file:
            yield _sorted(file.read_all())
        path.unlink()
    scratch.rmdir()


def _sorted(table: pa.Table) -> pa.Table:
    """Sort by id and drop duplicates: two writers may both have journalled a row, if one lost its lock while it was still running."""
    ordered = table.sort_by("id").combine_chunks()
    ids = ordered.column("id")
    repeated = pc.equal(ids.slice(1), ids.slice(0, max(0, len(ids) - 1)))
    if not pc.any(repeated).as_py():
        return ordered
    first = pa.concat_arrays([pa.array([True]), *(chunk for chunk in pc.invert(repeated).chunks)])
    return ordered.filter(first).combine_chunks()


def _write_part(table: pa.Table, root: Folder, folder: str, number: int, lock: DatasetLock) -> Part:
    encoded = lock.scratch / f"part-{number:05d}.parquet"
    with disk_errors(encoded, table.nbytes):
        pq.write_table(table, encoded, compression="zstd", row_group_size=_ROW_GROUP)
    # With a digest of the content in the name, two writers can't write different rows to the same name.
    sha256, size = file_digest(encoded), encoded.stat().st_size
    name = f"part-{number:05d}-{sha256[:12]}.parquet"
    lock.put(encoded, root / folder / name)
    return Part(name if folder == "." else f"{folder}/{name}", table.num_rows, size, sha256)


def _text_bytes(batch: pa.RecordBatch) -> int:
    return sum(sum(map(len, filter(None, column.to_pylist()))) for column in batch.columns if pa.types.is_string(column.type))
