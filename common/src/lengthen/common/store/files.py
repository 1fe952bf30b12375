"""Files that are there whole or not at all, and their digests."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from lengthen.common.errors import TransientError

_CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "lengthen" / "digests.json"
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}


@contextmanager
def disk_errors(path: Path, need: int = 0) -> Iterator[None]:
    """Turn a full or failing disk into a TransientError that names the path and the bytes that were to be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        wanted = f" ({need:,} bytes to write)" if need else ""
        raise TransientError(f"{path}: {error.strerror}{wanted}; make room and run the same command again") from error


def sync_folder(folder: Path) -> None:
    """Make renames and links in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path, staging: Path | None = None) -> Iterator[Path]:
    """A temporary path; what was written there takes the place of `path`, whole and synced, when the block ends.

    Args:
        path: where it goes.
        staging: a folder for the temporary file, on the same file system; None: beside `path`.
    """
    temporary = (staging or path.parent) / f".{path.name}.{uuid4().hex[:8]}.tmp"
    with disk_errors(path):
        try:
            yield temporary
            with open(temporary, "rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, staging: Path | None = None) -> None:
    """Write a file, or put one in the place of another, so that no reader sees a part of it."""
    with replacing(path, staging) as temporary:
        temporary.write_bytes(content)


def create_exclusively(path: Path, content: bytes, staging: Path | None = None) -> bool:
    """Create a file with all of its content, or leave an existing one alone and return False."""
    temporary = (staging or path.parent) / f".{path.name}.{uuid4().hex[:8]}.tmp"
    with disk_errors(path, len(content)):
        try:
            with open(temporary, "xb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            sync_folder(path.parent)
            return True
        finally:
            temporary.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def cached_digest(path: Path) -> str:
    """sha256 of a large file; remembered by path, size and time of change, so that the weights are read once."""
    stat = path.stat()
    key = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    try:
        known = json.loads(_CACHE.read_text())
    except (OSError, ValueError):
        known = {}
    if not isinstance(known, dict) or key not in known:
        known = {**known, key: file_digest(path)} if isinstance(known, dict) else {key: file_digest(path)}
        try:
            _CACHE.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(_CACHE, json.dumps(known).encode())
        except OSError:
            pass  # a home that can't be written: the digest is computed again next time
    return str(known[key])
