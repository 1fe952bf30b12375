"""The lock of a dataset in an object store: a lease, taken and renewed by conditional puts, since there is no rename.

`.work/lock.json` names the holder. It is created only if it does not exist, renewed by the heartbeat only if it is still the
version last written, and taken over in the same way: of two writers that try, one succeeds. Before every put a writer checks that
its last renewal is not older than the lease; the manifest is created only if there is none. One case remains: a process that is
suspended within a put may still write that one object afterwards. Its name contains a digest or the writer's token, so it replaces
nothing, and a reader refuses a dataset with files that the manifest does not list.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from lengthen.common.process.errors import TransientError
from lengthen.common.store.files import disk_errors
from lengthen.common.store.lock import taken_over
from lengthen.common.store.lock_owner import has_ended, locked_message, this_process
from lengthen.common.store.object_path import ObjectPath, object_errors

if TYPE_CHECKING:
    from obstore import PutMode, UpdateVersion

_HEARTBEATS_PER_LEASE = 5


class ObjectLock:
    """See `DatasetLock`. `scratch` is a temporary folder."""

    def __init__(self, folder: ObjectPath, lease_seconds: float) -> None:
        self.folder, self.work, self.lease_seconds = folder, folder / ".work", lease_seconds
        self.token = uuid4().hex[:12]
        self.path = self.work / "lock.json"
        self.scratch = Path(tempfile.mkdtemp(prefix="lengthen-"))
        self._version: UpdateVersion = {}
        self._renewed = 0.0  # monotonic time of the last successful renewal
        self._ended = threading.Event()
        self._heartbeat = threading.Thread(target=self._renew_until_released, name="lock heartbeat", daemon=True)

    def acquire(self) -> None:
        try:
            while not self._renew("create"):
                self._take_over_stale()
                if self._renewed:
                    break
        except BaseException:
            shutil.rmtree(self.scratch)
            raise
        self._heartbeat.start()

    def release(self) -> None:
        self._ended.set()
        self._heartbeat.join()
        try:
            if self._renew(self._version):  # still ours, and for a lease nobody can take it over
                self.path.unlink()
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    @contextmanager
    def placing(self, target: ObjectPath, size: int = 0) -> Iterator[Path]:
        temporary = self.scratch / uuid4().hex
        with disk_errors(temporary, size):
            try:
                yield temporary
                self.put(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

    def put(self, file: Path, target: ObjectPath) -> None:
        self.check()
        with object_errors(target):
            target.store.put(target.key, file)
        file.unlink()

    def create(self, target: ObjectPath, content: bytes) -> bool:
        self.check()
        return target.create(content)

    def remove(self, targets: list[ObjectPath]) -> None:
        self.check()
        for target in targets:
            target.unlink()

    def clear_work(self) -> None:
        self.remove([path for path in self.work.glob("*") if path.name != self.path.name])

    def check(self) -> None:
        if time.monotonic() - self._renewed > self.lease_seconds:
            raise taken_over(self.folder)

    def _renew(self, mode: PutMode) -> bool:
        """Write the lock if it is the version in `mode` (or, with "create", does not exist); False otherwise."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        content = json.dumps(this_process() | {"token": self.token, "nonce": uuid4().hex})  # so that each renewal is another version
        began = time.monotonic()
        with object_errors(self.path):
            try:
                result = self.path.store.put(self.path.key, content.encode(), mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        self._version, self._renewed = _version(dict(result)), began
        return True

    def _take_over_stale(self) -> None:
        """Replace the lock of a writer that has ended or sends no heartbeat, unless another writer does it first.

        Raises:
            TransientError: the holder is alive.
        """
        try:
            head = self.path.head()
            holder: dict[str, Any] = json.loads(self.path.read_text())
        except FileNotFoundError:
            return  # released in the meantime: try again
        age = self._now() - head["last_modified"].timestamp()
        if not has_ended(holder) and age <= self.lease_seconds:
            raise TransientError(locked_message(str(self.folder), holder, age))
        self._renew(_version(head))

    def _now(self) -> float:
        """The time by the store's clock: the clocks of two machines may differ by more than a lease."""
        probe = self.work / f"clock-{self.token}"
        with object_errors(probe):
            probe.store.put(probe.key, b"")
        now: float = probe.head()["last_modified"].timestamp()
        probe.unlink()
        return now

    def _renew_until_released(self) -> None:
        while not self._ended.wait(self.lease_seconds / _HEARTBEATS_PER_LEASE):
            try:
                if not self._renew(self._version):
                    self._renewed = float("-inf")  # taken over
                    return
            except TransientError:
                continue  # the next renewal may succeed; without one for a lease, `check` raises


def _version(head: dict[str, Any]) -> UpdateVersion:
    """The condition of a put on an object's present version. Buckets without versioning have only the e_tag."""
    return cast("UpdateVersion", {key: head[key] for key in ("e_tag", "version") if head.get(key)})
