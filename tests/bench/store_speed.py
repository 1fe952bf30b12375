"""(d) Rows/s of the store against plain pyarrow: add, commit and read rows of some 2 kB; write a Parquet file and read it.

Both take and return Python dicts, both compress with zstd. The store also writes each row to a journal first, sorts by id, and
verifies digests before reading.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from conftest import response_row, write
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables.definitions import RESPONSES
from measuring import Options, in_turns, seconds
from prompts import drafts
from table import Figure

BATCH = 1000


def measure(options: Options) -> list[Figure]:
    count = options.size(20_000, 500)
    texts = drafts(200, 330)
    rows = [response_row(number, texts[number % len(texts)]) for number in range(count)]
    folder, file = options.work / "store", options.work / "plain.parquet"

    def ours() -> float:
        shutil.rmtree(folder, ignore_errors=True)
        return count / seconds(lambda: through_the_store(folder, rows))

    found = in_turns(options.rounds, {"store": ours, "pyarrow": lambda: count / seconds(lambda: through_pyarrow(file, rows))})
    what = f"the store, {count:,} rows: add, commit and read, against pyarrow: write and read"
    return [Figure("d", what, "rows/s", tuple(found["store"]), tuple(found["pyarrow"]))]


def through_the_store(folder: Path, rows: list[dict[str, Any]]) -> None:
    write(folder, RESPONSES, rows)
    require(sum(1 for _ in open_dataset(folder, RESPONSES).rows()), len(rows))


def through_pyarrow(file: Path, rows: list[dict[str, Any]]) -> None:
    with pq.ParquetWriter(file, RESPONSES.schema, compression="zstd") as writer:
        for start in range(0, len(rows), BATCH):
            writer.write_table(pa.Table.from_pylist(rows[start : start + BATCH], RESPONSES.schema))
    batches = pq.ParquetFile(file).iter_batches(BATCH)
    require(sum(1 for batch in batches for _ in batch.to_pylist()), len(rows))


def require(found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"{found} rows instead of {wanted}")
