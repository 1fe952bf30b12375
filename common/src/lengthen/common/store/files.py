"""Atomic file writes, and cached digests of large files."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from lengthen.common.process.errors import TransientError
from lengthen.common.store.paths import file_digest

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "lengthen"
_DIGESTS = CACHE / "digests.json"
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}


@contextmanager
def disk_errors(path: Path, size: int = 0) -> Iterator[None]:
    """Raise a full or failing disk as a TransientError that names the path and the number of bytes to write."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        needed = f" ({size:,} bytes to write before compression, {_free(path)} free)" if size else ""
        fix = "free disk space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check the disk"
        raise TransientError(f"{path}: {os.strerror(error.errno)}{needed}; {fix} and run the same command again") from error


def _free(path: Path) -> str:
    with suppress(OSError):
        return f"{shutil.disk_usage(next(parent for parent in path.parents if parent.exists())).free:,}"
    return "unknown"


def sync_folder(folder: Path) -> None:
    """Make renames and links in a folder durable (fsync)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move_into_place(file: Path, target: Path) -> None:
    """Sync a finished file and rename it to `target`, replacing what is there. On failure the file is deleted."""
    with disk_errors(target):
        try:
            with open(file, "rb") as handle:
                size = os.fstat(handle.fileno()).st_size
                with disk_errors(target, size):
                    os.fsync(handle.fileno())
            file.replace(target)
            sync_folder(target.parent)
        finally:
            file.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write or replace a file atomically: no reader sees an incomplete one."""
    temporary = target.parent / f".{target.name}.{uuid4().hex[:8]}.tmp"
    with disk_errors(target, len(content)):
        temporary.write_bytes(content)
    move_into_place(temporary, target)


def create_exclusively(path: Path, content: bytes, staging: Path | None = None) -> bool:
    """Create a file atomically; False, without a change, where it exists already."""
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
            try:
                sync_folder(path.parent)
            except OSError:
                path.unlink(missing_ok=True)  # it may not be durable, so the caller must not find it
                raise
            return True
        finally:
            temporary.unlink(missing_ok=True)


def rename_if_free(source: Path, target: Path) -> bool:
    """Rename a folder. False if the target exists already, or the source no longer does."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
            raise
        return False
    return True


def cached_digest(path: Path) -> str:
    """sha256 of a large file, in hex, cached by path, size and modification time: model weights are read once."""
    stat = path.stat()
    key = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    digests: dict[str, str] = {}
    with suppress(OSError, ValueError):
        digests = dict(json.loads(_DIGESTS.read_text()))
    if key not in digests:
        digests[key] = file_digest(path)
        with suppress(OSError):  # the home directory is read-only: the digest is computed again next time
            _DIGESTS.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(_DIGESTS, json.dumps(digests).encode())
    return digests[key]
