"""Where a dataset is stored: a local folder (`pathlib.Path`) or a prefix in an object store (`ObjectPath`).

    --output runs/laptop/iter-01/responses
    --output s3://bucket/runs/laptop/iter-01/responses

Reading is the same for both. Writing differs, because an object store has no rename: see `FolderLock` and `ObjectLock`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthen.common.store.object_path import ObjectPath

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Folder = Path | ObjectPath


def parse_folder(text: str) -> Folder:
    """Raises: UserError: a URL that is not a valid object store URL."""
    return ObjectPath.parse(text) if "://" in text else Path(text)


def list_files(folder: Folder, pattern: str) -> list[Folder]:
    """Files and folders directly in a folder whose names match, sorted by name."""
    return sorted(folder.glob(pattern), key=lambda path: path.name)


def is_inside(path: Folder, folder: Folder) -> bool:
    """Whether a path is inside a folder, after symbolic links are resolved."""
    return f"{path.resolve()}/".startswith(f"{folder.resolve()}/")


def read_json(path: Folder) -> dict[str, Any] | None:
    """A JSON object in a file, or None when the file does not exist."""
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return value


def open_parquet(path: Folder) -> pq.ParquetFile:
    """Open a local or remote Parquet file; close it with `with`."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path if isinstance(path, Path) else path.open())


def file_digest(path: Folder) -> str:
    """sha256 of a file or object, in hex."""
    with path.open("rb") if isinstance(path, Path) else path.open() as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
