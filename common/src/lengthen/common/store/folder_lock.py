"""The lock of a dataset on a disk: one writer at a time, a heartbeat, and fencing of a writer that lost the lock.

The lock is a folder, `.work/lock/`. It contains `holder.json` (which process holds it) and the writer's scratch folder, in which
every file is made before a rename or a link moves it into the dataset. To acquire the lock, a prepared folder is renamed to that
name, which fails while the name exists. To take over a stale lock, the old folder is renamed away first. If the earlier writer
resumes, its scratch folder is gone, so it can neither add to the journal nor commit: no check before each write is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from lengthen.common.process.errors import TransientError
from lengthen.common.store.files import create_exclusively, disk_errors, move_into_place, rename_if_free
from lengthen.common.store.lock import taken_over
from lengthen.common.store.lock_owner import has_ended, locked_message, this_process
from lengthen.common.store.paths import read_json

_HEARTBEATS_PER_LEASE = 5


class FolderLock:
    """See `DatasetLock`. `scratch` is on the same disk as the dataset, so a rename moves files from there."""

    def __init__(self, folder: Path, lease_seconds: float) -> None:
        self.folder, self.work, self.lease_seconds = folder, folder / ".work", lease_seconds
        self.token = uuid4().hex[:12]
        self.path = self.work / "lock"
        self.scratch = self.path / self.token
        self._ended = threading.Event()
        self._heartbeat = threading.Thread(target=self._renew, name="lock heartbeat", daemon=True)

    def acquire(self) -> None:
        prepared = self.work / f"new-{self.token}"
        try:
            while not self._try_acquire(prepared):
                self._remove_stale()
        except BaseException:
            shutil.rmtree(prepared, ignore_errors=True)
            raise
        self._heartbeat.start()

    def release(self) -> None:
        self._ended.set()
        self._heartbeat.join()
        with suppress(OSError):  # on a failing disk the lock stays; the next writer sees that this process has ended
            if self.scratch.exists():
                self._move_away(self.token)
            self.work.rmdir()  # succeeds only when the dataset is complete and nothing is left there

    @contextmanager
    def placing(self, target: Path, size: int = 0) -> Iterator[Path]:
        temporary = self.scratch / uuid4().hex
        try:
            with disk_errors(target, size):
                yield temporary
        except FileNotFoundError as error:
            raise self._lost_lock_or(error) from error
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self.put(temporary, target)

    def put(self, file: Path, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            move_into_place(file, target)
        except FileNotFoundError as error:
            raise self._lost_lock_or(error) from error

    def create(self, target: Path, content: bytes) -> bool:
        try:
            return create_exclusively(target, content, self.scratch)
        except FileNotFoundError as error:
            raise self._lost_lock_or(error) from error

    def remove(self, targets: list[Path]) -> None:
        self.check()
        for target in targets:
            target.unlink(missing_ok=True)

    def clear_work(self) -> None:
        for path in self.work.iterdir():
            if path.is_dir():
                if path != self.path and not path.name.startswith("new-"):  # a waiting writer removes its own
                    shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):  # the dataset is complete: a file that stays here does no harm
                    path.unlink()

    def check(self) -> None:
        if not self.scratch.exists():
            raise taken_over(self.folder)

    def _try_acquire(self, prepared: Path) -> bool:
        """Rename a prepared folder to the lock's name; False while another process holds it."""
        holder = json.dumps(this_process() | {"token": self.token})
        with disk_errors(prepared, len(holder)):
            (prepared / self.token).mkdir(parents=True, exist_ok=True)
            (prepared / "holder.json").write_text(holder)
            return rename_if_free(prepared, self.path)

    def _lost_lock_or(self, error: FileNotFoundError) -> Exception:
        return error if self.scratch.exists() else taken_over(self.folder)

    def _remove_stale(self) -> None:
        """Remove the lock of a writer that has ended or sends no heartbeat.

        Raises:
            TransientError: the holder is alive.
        """
        holder = read_json(self.path / "holder.json")
        if holder is None:
            return  # released in the meantime: try again
        age = self._heartbeat_age(holder["token"])
        if not has_ended(holder) and age <= self.lease_seconds:
            raise TransientError(locked_message(str(self.folder), holder, age))
        self._move_away(holder["token"])

    def _move_away(self, token: str) -> None:
        """Remove the lock that `token` holds. If another writer has acquired it in this moment, restore it."""
        away = self.work / f"lost-{uuid4().hex[:12]}"
        try:
            self.path.rename(away)
        except FileNotFoundError:
            return
        if (moved := read_json(away / "holder.json")) and moved["token"] != token and rename_if_free(away, self.path):
            return  # if its writer moved a file in this moment, that failed and it ends: there are never two writers
        shutil.rmtree(away, ignore_errors=True)

    def _heartbeat_age(self, token: str) -> float:
        """Seconds since the holder's last heartbeat."""
        try:
            return time.time() - (self.path / token).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _renew(self) -> None:
        while not self._ended.wait(self.lease_seconds / _HEARTBEATS_PER_LEASE):
            try:
                os.utime(self.scratch)  # the path contains our token, so a lost lock is not renewed for its new holder
            except FileNotFoundError:
                return
            except OSError:
                continue  # a failing disk: the writer notices it too; without a heartbeat for a whole lease the lock is lost
