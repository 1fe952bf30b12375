"""A table's name, version and columns, and the check that a file has them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from lengthen.common.process.errors import UserError


@dataclass(frozen=True)
class Table:
    """A table's name, version and columns. `schema` carries the first two as metadata."""

    name: str
    version: int
    schema: pa.Schema


def check_schema(table: Table, schema: pa.Schema, where: str) -> None:
    """Compare a file's schema with the table's.

    Raises:
        UserError: another table or version, or columns that are missing or of another type; all are listed.
    """
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    name, version = metadata.get("lengthen.table", "an unknown table"), metadata.get("lengthen.version", "?")
    if name != table.name:
        raise UserError(f"{where} contains {name}, not {table.name}; give the folder that holds {table.name}")
    if version != str(table.version):
        raise UserError(f"{where} has {name} version {version}, but this program reads version {table.version}; make the dataset again")
    problems = []
    for field in table.schema:
        index = schema.get_field_index(field.name)
        if index < 0:
            problems.append(f"column {field.name} is missing")
        elif schema.field(index).type != field.type:
            problems.append(f"column {field.name} is {schema.field(index).type}, not {field.type}")
    if problems:
        raise UserError(f"{where}: {'; '.join(problems)}; make the dataset again")
