"""Files that are there whole or not at all, and their digests."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from lengthen.common.errors import TransientError
from lengthen.common.store.place import file_digest

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "lengthen"
_DIGESTS = CACHE / "digests.json"
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}


@contextmanager
def disk_errors(path: Path, need: int = 0) -> Iterator[None]:
    """Turn a full or failing disk into a TransientError that names the path and the bytes that were to be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        wanted = f" ({need:,} bytes to write before compression, {_free(path)} free)" if need else ""
        remedy = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "look at the disk"
        raise TransientError(f"{path}: {os.strerror(error.errno)}{wanted}; {remedy} and run the same command again") from error


def _free(path: Path) -> str:
    with suppress(OSError):
        return f"{shutil.disk_usage(next(parent for parent in path.parents if parent.exists())).free:,}"
    return "unknown"


def sync_folder(folder: Path) -> None:
    """Make renames and links in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move_into_place(file: Path, target: Path) -> None:
    """Rename a finished file, whole and synced, over whatever is there. It is gone when that fails."""
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
    """Write a file, or put one in the place of another, so that no reader sees a part of it."""
    temporary = target.parent / f".{target.name}.{uuid4().hex[:8]}.tmp"
    with disk_errors(target, len(content)):
        temporary.write_bytes(content)
    move_into_place(temporary, target)


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
            try:
                sync_folder(path.parent)
            except OSError:
                path.unlink(missing_ok=True)  # it might not outlast a power cut: then it must not be there at all
                raise
            return True
        finally:
            temporary.unlink(missing_ok=True)


def rename_if_free(source: Path, target: Path) -> bool:
    """Rename a folder. False where the target is there already, or the source isn't any more."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
            raise
        return False
    return True


def cached_digest(path: Path) -> str:
    """sha256 of a large file; remembered by path, size and time of change, so that the weights are read once."""
    stat = path.stat()
    key = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    try:
        known = json.loads(_DIGESTS.read_text())
    except (OSError, ValueError):
        known = {}
    if not isinstance(known, dict) or key not in known:
        known = {**known, key: file_digest(path)} if isinstance(known, dict) else {key: file_digest(path)}
        try:
            _DIGESTS.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(_DIGESTS, json.dumps(known).encode())
        except OSError:
            pass  # a home that can't be written: the digest is computed again next time
    return str(known[key])
