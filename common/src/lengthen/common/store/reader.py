"""Read a complete dataset: exactly the parts that its manifest lists. Every part is checked before the first row is used."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from lengthen.common.process.errors import UserError
from lengthen.common.store.manifest import MANIFEST, Manifest, Part, read_manifest
from lengthen.common.store.paths import Folder, file_digest, is_inside, list_files, open_parquet
from lengthen.common.tables.definitions import REJECTED, TABLES
from lengthen.common.tables.schema import Table, check_schema

_BATCH_ROWS = 256


class Dataset:
    """A complete and verified dataset. Made by `open_dataset`."""

    def __init__(self, folder: Folder, table: Table, manifest: Manifest) -> None:
        self.folder, self.table, self.manifest = folder, table, manifest
        # Local copies of an object store's parts, deleted with this object: a stage reads its input several times.
        self._copies = None if isinstance(folder, Path) else TemporaryDirectory(prefix="lengthen-")

    def rows(self, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows in order of their ids, read in batches. `columns` None: all; the id is always included."""
        return self._merged(self.manifest.parts, columns)

    def rejected(self) -> Iterator[dict[str, Any]]:
        return self._merged(self.manifest.rejected_parts, None)

    def _merged(self, parts: list[Part], columns: list[str] | None) -> Iterator[dict[str, Any]]:
        """The parts of one folder are in order; those of several folders (shards) are merged."""
        if columns is not None and "id" not in columns:
            columns = ["id", *columns]
        folders: dict[str, list[Part]] = {}
        for part in parts:
            folders.setdefault(part.path.rpartition("/")[0], []).append(part)
        local = [[self._local(part) for part in members] for members in folders.values()]
        # A generator, which holds this object and so its local copies as long as rows are read.
        yield from heapq.merge(*(read_files(files, columns) for files in local), key=lambda row: row["id"])

    def _local(self, part: Part) -> Path:
        """The part as a local file."""
        path = self.folder / part.path
        if isinstance(path, Path):
            return path
        copy = Path(self._copies.name if self._copies else "") / part.path.replace("/", "_")
        if not copy.exists():
            path.download(copy)
        return copy

    def verify(self) -> None:
        """Check every part's path, size, digest, schema and row count against the manifest.

        Raises:
            UserError: the first file that differs from the manifest.
        """
        for part, table in [(p, self.table) for p in self.manifest.parts] + [(p, REJECTED) for p in self.manifest.rejected_parts]:
            self._verify_part(part, table)
        listed = {self.folder / part.path for part in self.manifest.parts}
        folders = {self.folder, *(path.parent for path in listed)}
        if extra := [path for folder in folders for path in list_files(folder, "*.parquet") if path not in listed]:
            raise UserError(f"{extra[0]} is not in the manifest; move it to another folder, or make the dataset again")

    def _verify_part(self, part: Part, table: Table) -> None:
        path = self.folder / part.path
        if not is_inside(path, self.folder):
            raise UserError(f"{self.folder / MANIFEST} lists {part.path}, which is outside the folder; make the dataset again")
        if not path.is_file():
            raise UserError(f"{path} is in the manifest but does not exist; restore it, or make the dataset again")
        local = self._local(part)
        if local.stat().st_size != part.bytes or file_digest(local) != part.sha256:
            raise UserError(f"{path} differs from the manifest (size or sha256 differs); restore it, or make the dataset again")
        try:
            with open_parquet(local) as file:
                check_schema(table, file.schema_arrow, str(path))
                rows = file.metadata.num_rows
        except pa.ArrowException as error:
            raise UserError(f"{path} is not a readable Parquet file ({error}); make the dataset again") from error
        if rows != part.rows:
            raise UserError(f"{path} has {rows} rows, but the manifest says {part.rows}; make the dataset again")


def read_files(paths: Iterable[Folder], columns: list[str] | None) -> Iterator[dict[str, Any]]:
    """The rows of Parquet files, one file after the other, read in batches. `columns` None: all."""
    for path in paths:
        with open_parquet(path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                yield from _rows_of(batch)


def _rows_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """A batch's rows. Invalid UTF-8, which Parquet does not check, becomes lone surrogates, and the stages reject those rows."""
    rows: list[dict[str, Any]]
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        columns = [column.cast(pa.binary()) if pa.types.is_string(column.type) else column for column in batch.columns]
        rows = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
        for row in rows:
            row |= {name: value.decode("utf-8", "surrogateescape") for name, value in row.items() if isinstance(value, bytes)}
    return rows


def open_any(folder: Folder) -> Dataset:
    """Open a dataset of any table. See `open_dataset`."""
    manifest = read_manifest(folder) if folder.is_dir() else None
    if manifest and manifest.table not in TABLES:
        raise UserError(f"{folder / MANIFEST} has an unknown table {manifest.table!r}; update this program, or make the dataset again")
    return open_dataset(folder, TABLES[manifest.table] if manifest else REJECTED)


def open_dataset(folder: Folder, table: Table) -> Dataset:
    """Open a dataset for reading, after verifying all of it.

    Raises:
        UserError: no such folder, no manifest, another table or version, or a part that differs from the manifest.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist; run the stage that writes {table.name} first")
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f"{folder} has no {MANIFEST}, so the dataset is not complete; run the stage that writes it until it completes")
    if manifest.table != table.name:
        raise UserError(f"{folder} contains {manifest.table}, not {table.name}; give the folder that holds {table.name}")
    if manifest.version != table.version:
        raise UserError(f"{folder}: {table.name} version {manifest.version}, this program reads {table.version}; make the dataset again")
    dataset = Dataset(folder, table, manifest)
    dataset.verify()
    return dataset
