"""One writer for each dataset: the interface of `FolderLock` (on a disk) and `ObjectLock` (in an object store)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from lengthen.common.process.errors import TransientError


class DatasetLock(Protocol):
    """Held from `acquire` to `release`. Every write of a dataset goes through it, so a writer that lost it can't write.

    Every writing method raises TransientError when another process took the dataset over, or the disk or store fails.
    """

    scratch: Path
    """A local folder for this writer's unfinished files."""

    def acquire(self) -> None:
        """Take the lock, also from a holder that has ended or sends no heartbeat for a lease.

        Raises:
            TransientError: another process holds it; the message names it.
        """

    def release(self) -> None:
        """Release the lock, unless another process took it over."""

    def placing(self, target: Any, size: int = 0) -> AbstractContextManager[Path]:
        """A temporary path. When the block ends, the file there replaces `target` atomically.

        `size` is about how many bytes will be written, for the message of a full disk.
        """

    def put(self, file: Path, target: Any) -> None:
        """Move a finished file of the scratch folder to `target`."""

    def create(self, target: Any, content: bytes) -> bool:
        """Create a file atomically; False where it exists already."""
        ...

    def remove(self, targets: list[Any]) -> None:
        """Delete files that an earlier writer left."""

    def clear_work(self) -> None:
        """Delete the journal and other files of the work folder, but not the lock."""

    def check(self) -> None:
        """Raises: TransientError: another process took the dataset over."""


def taken_over(folder: object) -> TransientError:
    """The error of a writer whose lock was taken over."""
    return TransientError(
        f"{folder}: another process took over this dataset, because this process sent no heartbeat; its later writes were refused"
    )
