"""From the journal to the final parts: sorted by id, in bounded memory, the same bytes whatever the journal's files.

Rows are dealt into buckets by the beginning of their id (a hash, so buckets are even), and each bucket is sorted in
memory and becomes one part.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.store.files import file_digest, replacing
from lengthen.common.store.journal import Journal
from lengthen.common.store.manifest import Part

BUCKET_BYTES = 64 * 2**20
_ROW_GROUP = 1024


def compact(journal: Journal, root: Path, folder: str = ".") -> tuple[list[Part], str]:
    """Write `root/folder/part-*.parquet` from everything in the journal.

    Returns:
        The parts, and the content digest over all rows in order of their ids.
    """
    size = sum(_text_bytes(batch) for batch in journal.batches())
    buckets = 1 if size <= BUCKET_BYTES else min(4096, 2 ** (size // BUCKET_BYTES).bit_length())
    (root / folder).mkdir(parents=True, exist_ok=True)
    for stale in (root / folder).glob("*part-*.parquet"):
        stale.unlink()
    digest = hashlib.sha256()
    parts = []
    for number, table in enumerate(_sorted_buckets(journal, buckets)):
        for batch in table.to_batches(_ROW_GROUP):
            for row in batch.to_pylist():
                digest.update(json.dumps(row, ensure_ascii=True, sort_keys=True).encode() + b"\n")
        if table.num_rows:
            parts.append(_write_part(table, root, folder, number))
    return parts, digest.hexdigest()


def _sorted_buckets(journal: Journal, buckets: int) -> Iterator[pa.Table]:
    schema = journal.table.schema
    if buckets == 1:
        yield pa.Table.from_batches(journal.batches(), schema).sort_by("id").combine_chunks()
        return
    scratch = journal.folder / "buckets"
    shutil.rmtree(scratch, ignore_errors=True)
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
            yield file.read_all().sort_by("id").combine_chunks()
        path.unlink()


def _write_part(table: pa.Table, root: Path, folder: str, number: int) -> Part:
    # The name holds a digest of the content: two writers can't put different rows under one name.
    staged = root / folder / f".part-{number:05d}.parquet"
    with replacing(staged) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=_ROW_GROUP)
    sha256 = file_digest(staged)
    path = root / folder / f"part-{number:05d}-{sha256[:12]}.parquet"
    staged.rename(path)
    return Part(str(path.relative_to(root)), table.num_rows, path.stat().st_size, sha256)


def _text_bytes(batch: pa.RecordBatch) -> int:
    return sum(sum(map(len, filter(None, column.to_pylist()))) for column in batch.columns if pa.types.is_string(column.type))
