"""Reading a dataset: what the manifest lists, and nothing else; every part is checked before its first row is used."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from lengthen.common.errors import UserError
from lengthen.common.store.manifest import MANIFEST, Manifest, Part, read_manifest
from lengthen.common.store.place import Folder, file_digest, file_size, found, is_inside, open_parquet
from lengthen.common.tables import REJECTED, TABLES, Table, check_schema

_BATCH_ROWS = 256


class Dataset:
    """A complete dataset of a known table. Made by `open_dataset`."""

    def __init__(self, folder: Folder, table: Table, manifest: Manifest) -> None:
        self.folder, self.table, self.manifest = folder, table, manifest

    def rows(self, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows in order of their ids, read in batches; the id is always among the columns."""
        return self._merged(self.manifest.parts, columns)

    def rejected(self) -> Iterator[dict[str, Any]]:
        return self._merged(self.manifest.rejected_parts, None)

    def _merged(self, parts: list[Part], columns: list[str] | None) -> Iterator[dict[str, Any]]:
        """Parts of a folder follow each other; those of several folders (shards) are merged."""
        if columns is not None and "id" not in columns:
            columns = ["id", *columns]
        folders: dict[str, list[Part]] = {}
        for part in parts:
            folders.setdefault(part.path.rpartition("/")[0], []).append(part)
        return heapq.merge(*(self._read(members, columns) for members in folders.values()), key=lambda row: row["id"])

    def _read(self, parts: list[Part], columns: list[str] | None) -> Iterator[dict[str, Any]]:
        for part in parts:
            with open_parquet(self.folder / part.path) as file:
                for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                    yield from _rows_of(batch)

    def verify(self) -> None:
        """Check every part's path, size, digest, schema and row count against the manifest.

        Raises:
            UserError: naming the first file that is not what the manifest says.
        """
        for part, table in [(p, self.table) for p in self.manifest.parts] + [(p, REJECTED) for p in self.manifest.rejected_parts]:
            self._verify_part(part, table)
        listed = {self.folder / part.path for part in self.manifest.parts}
        folders = {self.folder, *(path.parent for path in listed)}
        if extra := [path for folder in folders for path in found(folder, "*.parquet") if path not in listed]:
            raise UserError(f"{extra[0]} is not in the manifest; move it away, or make the dataset again")

    def _verify_part(self, part: Part, table: Table) -> None:
        path = self.folder / part.path
        if not is_inside(path, self.folder):
            raise UserError(f"{self.folder / MANIFEST} names {part.path}, outside the folder; refused")
        if not path.is_file():
            raise UserError(f"{path} is in the manifest but not there; restore it, or make the dataset again")
        if file_size(path) != part.bytes or file_digest(path) != part.sha256:
            raise UserError(f"{path} is not the file that the manifest describes (sha256 differs); restore it, or make it again")
        try:
            with open_parquet(path) as file:
                check_schema(table, file.schema_arrow, str(path))
                rows = file.metadata.num_rows
        except pa.ArrowException as error:
            raise UserError(f"{path} is no Parquet file that can be read: {error}; make the dataset again") from error
        if rows != part.rows:
            raise UserError(f"{path} has {rows} rows, the manifest says {part.rows}; make the dataset again")


def _rows_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """A batch's rows. Bytes that are no UTF-8 (Parquet doesn't check) become lone surrogates, which the stages reject."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
        return rows
    except UnicodeDecodeError:
        columns = [column.cast(pa.binary()) if pa.types.is_string(column.type) else column for column in batch.columns]
        rows = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
        return [
            {name: value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value for name, value in row.items()}
            for row in rows
        ]


def open_any(folder: Folder) -> Dataset:
    """Open a dataset of whatever table its manifest names. See `open_dataset`."""
    manifest = read_manifest(folder) if folder.is_dir() else None
    if manifest and manifest.table not in TABLES:
        raise UserError(f"{folder / MANIFEST} names a table {manifest.table!r} that this program doesn't know")
    return open_dataset(folder, TABLES[manifest.table] if manifest else REJECTED)


def open_dataset(folder: Folder, table: Table) -> Dataset:
    """Open a dataset for reading, after checking all of it.

    Raises:
        UserError: no folder, no manifest, another table, or a part that isn't what the manifest says.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist; run the stage that writes {table.name} first")
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f"{folder} has no {MANIFEST}: it is no complete dataset; run the stage that writes it to its end")
    if manifest.table != table.name:
        raise UserError(f"{folder} holds {manifest.table}, not {table.name}; give the folder that holds {table.name}")
    if manifest.version != table.version:
        raise UserError(f"{folder}: {table.name} version {manifest.version}, this program reads {table.version}; make it again")
    dataset = Dataset(folder, table, manifest)
    dataset.verify()
    return dataset
