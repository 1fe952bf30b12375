"""One writer a dataset: a lock with a heartbeat that also fences off a writer who lost it.

The lock is a folder, `.work/lock/`. It holds who writes (`holder.json`) and a folder of that writer's own, in which everything
is made before a rename or a link puts it into place. Taking the lock is renaming a prepared folder to that name, which
fails while there is one. Taking it over is renaming the old folder away first: the earlier writer, should it wake up,
has nothing left to move, so it can neither add to the journal nor commit. No check-then-act is needed for that.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from lengthen.common.errors import TransientError
from lengthen.common.store.files import create_exclusively, disk_errors, move_into_place, rename_if_free
from lengthen.common.store.holder import describe_holder, is_gone, this_process

_BEATS = 5  # heartbeats in a lease


class Lock:
    """Held from `acquire` to `release`. `scratch` is the folder for this writer's unfinished files."""

    def __init__(self, folder: Path, lease_seconds: float) -> None:
        self.folder, self.work, self.lease_seconds = folder, folder / ".work", lease_seconds
        self.token = uuid4().hex[:12]
        self.path = self.work / "lock"
        self.scratch = self.path / self.token
        self._ended = threading.Event()
        self._beat = threading.Thread(target=self._keep_alive, name="lock heartbeat", daemon=True)

    def acquire(self) -> None:
        """Take the lock, from a dead or silent holder too.

        Raises:
            TransientError: somebody else holds it; names the holder.
        """
        prepared = self.work / f"new-{self.token}"
        try:
            while not self._offer(prepared):
                self._remove_stale()
        except BaseException:
            shutil.rmtree(prepared, ignore_errors=True)
            raise
        self._beat.start()

    def release(self) -> None:
        """Give the lock back, unless it was taken away."""
        self._ended.set()
        self._beat.join()
        with suppress(OSError):  # on a failing disk it stays, and the next writer finds that its holder is gone
            if self.scratch.exists():
                self._move_away(self.token)
            self.work.rmdir()  # where nothing is left of a finished dataset's work

    @contextmanager
    def placing(self, target: Path, need: int = 0) -> Iterator[Path]:
        """A temporary path; what was written there takes the place of `target`, whole and synced, when the block ends.

        Args:
            target: where it goes.
            need: about how many bytes, for the message of a full disk.

        Raises:
            TransientError: the dataset was taken over, or the disk is full or failing.
        """
        temporary = self.scratch / uuid4().hex
        try:
            with disk_errors(target, need):
                yield temporary
        except FileNotFoundError as error:
            raise self._explained(error) from error
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self.put(temporary, target)

    def put(self, file: Path, target: Path) -> None:
        """Move a finished file of the scratch folder into its place. Raises as `placing`."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            move_into_place(file, target)
        except FileNotFoundError as error:
            raise self._explained(error) from error

    def create(self, target: Path, content: bytes) -> bool:
        """Create a file with all of its content; False where there is one."""
        try:
            return create_exclusively(target, content, self.scratch)
        except FileNotFoundError as error:
            raise self._explained(error) from error

    def remove(self, targets: list[Path]) -> None:
        """Remove files that an earlier writer left."""
        self.check()
        for target in targets:
            target.unlink(missing_ok=True)

    def clear_work(self) -> None:
        """Remove the journal and what earlier writers left, but not the lock."""
        for path in self.work.iterdir():
            if path.is_dir():
                if path != self.path and not path.name.startswith("new-"):  # a newcomer's; it is turned away by itself
                    shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):  # the dataset is complete: what is left here does no harm
                    path.unlink()

    def check(self) -> None:
        """Raises: TransientError: the dataset was taken over."""
        if not self.scratch.exists():
            raise lost(self.folder)

    def _offer(self, prepared: Path) -> bool:
        """Try to make a folder of ours the lock."""
        holder = json.dumps(this_process() | {"token": self.token})
        with disk_errors(prepared, len(holder)):
            (prepared / self.token).mkdir(parents=True, exist_ok=True)
            (prepared / "holder.json").write_text(holder)
            return rename_if_free(prepared, self.path)

    def _explained(self, error: FileNotFoundError) -> Exception:
        return error if self.scratch.exists() else lost(self.folder)

    def _remove_stale(self) -> None:
        """Move a dead writer's lock away.

        Raises:
            TransientError: the holder is alive.
        """
        holder = _read(self.path)
        if holder is None:
            return  # released meanwhile: try again
        silence = self._silence(holder["token"])
        if not is_gone(holder) and silence <= self.lease_seconds:
            raise TransientError(describe_holder(str(self.folder), holder, silence))
        self._move_away(holder["token"])

    def _move_away(self, token: str) -> None:
        """Free the lock that `token` holds. Should another have taken it in this instant, put it back."""
        away = self.work / f"lost-{uuid4().hex[:12]}"
        try:
            self.path.rename(away)
        except FileNotFoundError:
            return
        if (moved := _read(away)) and moved["token"] != token and rename_if_free(away, self.path):
            return  # its writer, if it moved something in this instant, takes itself for lost and ends: never two writers
        shutil.rmtree(away, ignore_errors=True)

    def _silence(self, token: str) -> float:
        """Seconds since the holder's last sign of life."""
        try:
            return time.time() - (self.path / token).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _keep_alive(self) -> None:
        while not self._ended.wait(self.lease_seconds / _BEATS):
            try:
                os.utime(self.scratch)  # its path holds our token: a lost lock can't be kept alive for its new holder
            except FileNotFoundError:
                return
            except OSError:
                continue  # a failing disk: the writer finds out by itself; silence for a whole lease loses the lock


class Hold(Protocol):
    """What the store needs of a lock: `Lock` on a disk, `ObjectLock` in an object store."""

    scratch: Path

    def acquire(self) -> None: ...
    def release(self) -> None: ...
    def placing(self, target: Any, need: int = 0) -> AbstractContextManager[Path]: ...
    def put(self, file: Path, target: Any) -> None: ...
    def create(self, target: Any, content: bytes) -> bool: ...
    def remove(self, targets: list[Any]) -> None: ...
    def clear_work(self) -> None: ...
    def check(self) -> None: ...


def lost(folder: object) -> TransientError:
    """What a writer says that finds its scratch folder gone."""
    return TransientError(f"{folder}: another process took this dataset over while this one was silent; nothing of it is changed")


def _read(lock: Path) -> dict[str, Any] | None:
    try:
        holder: dict[str, Any] = json.loads((lock / "holder.json").read_text())
    except FileNotFoundError:
        return None
    return holder
