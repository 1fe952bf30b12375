"""A file of token rows: an Arrow stream, which the training program maps into memory instead of loading it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa

# No labels: the loss leaves out the first `prompt_tokens` of `input_ids` and covers the others.
SCHEMA = pa.schema({"id": pa.string(), "input_ids": pa.list_(pa.int32()), "prompt_tokens": pa.int32()})


class TokenFile:
    """Writes a file, within a `with` block, and counts what it holds. `longest` is the longest row's tokens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = self.tokens = self.longest = 0
        self._digest = hashlib.sha256()
        self._stream = pa.ipc.new_stream(path, SCHEMA)

    def __enter__(self) -> TokenFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; columns that are not in SCHEMA are left out."""
        batch = batch.select(SCHEMA.names).cast(SCHEMA)
        if not batch.num_rows:
            return
        for row, ids, prompt in zip(*batch.columns, strict=True):
            self._digest.update(f"{row.as_py()} {prompt.as_py()} {len(ids.values)}\n".encode())
            self._digest.update(ids.values.to_numpy().astype("<i4", copy=False).tobytes())
            self.tokens += len(ids.values)
            self.longest = max(self.longest, len(ids.values))
        self.rows += batch.num_rows
        self._stream.write_batch(batch)

    def hexdigest(self) -> str:
        """sha256 of all rows in order: their ids, tokens, and where the answers begin. Batches make no difference."""
        return self._digest.hexdigest()


def map_table(path: Path) -> pa.Table:
    """The rows of a file. They stay on the disk until they are used."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        return stream.read_all()
