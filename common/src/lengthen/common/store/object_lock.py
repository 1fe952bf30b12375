"""The lock of a dataset in an object store, where nothing can be renamed: conditional puts and a lease.

`.work/lock.json` names the holder. It is created if none is there, renewed by the heartbeat if it is still the version
last written, and taken over in the same way: of two that try, the store lets one through. A writer whose last renewal is
older than its lease takes itself for lost, without asking anybody, before every put; and the manifest is created only
where there is none. What remains: a process frozen inside a single put may still add one object of its own afterwards. Its
name holds a digest or the writer's token, so it replaces nothing, and a reader refuses what the manifest doesn't list.
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

from lengthen.common.errors import TransientError
from lengthen.common.store.files import disk_errors
from lengthen.common.store.holder import describe_holder, is_gone, this_process
from lengthen.common.store.lock import lost
from lengthen.common.store.place import ObjectPath, object_errors

if TYPE_CHECKING:
    from obstore import PutMode, UpdateVersion

_BEATS = 5  # heartbeats in a lease


class ObjectLock:
    """Held from `acquire` to `release`. `scratch` is a folder of this machine for unfinished files. Same methods as `Lock`."""

    def __init__(self, folder: ObjectPath, lease_seconds: float) -> None:
        self.folder, self.work, self.lease_seconds = folder, folder / ".work", lease_seconds
        self.token = uuid4().hex[:12]
        self.path = self.work / "lock.json"
        self.scratch = Path(tempfile.mkdtemp(prefix="lengthen-"))
        self._version: UpdateVersion = {}
        self._renewed = 0.0  # monotonic time of the last renewal that went through
        self._ended = threading.Event()
        self._beat = threading.Thread(target=self._keep_alive, name="lock heartbeat", daemon=True)

    def acquire(self) -> None:
        """See `Lock.acquire`."""
        try:
            while not self._renew("create"):
                self._take_over_stale()
                if self._renewed:
                    break
        except BaseException:
            shutil.rmtree(self.scratch)
            raise
        self._beat.start()

    def release(self) -> None:
        """Give the lock back, unless it was taken away."""
        self._ended.set()
        self._beat.join()
        try:
            if self._renew(self._version):  # still ours: no other takes it within a lease
                self.path.unlink()
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    @contextmanager
    def placing(self, target: ObjectPath, need: int = 0) -> Iterator[Path]:
        """See `Lock.placing`."""
        temporary = self.scratch / uuid4().hex
        with disk_errors(temporary, need):
            try:
                yield temporary
                self.put(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

    def put(self, file: Path, target: ObjectPath) -> None:
        """See `Lock.put`."""
        self.check()
        with object_errors(target):
            target.store.put(target.key, file)
        file.unlink()

    def create(self, target: ObjectPath, content: bytes) -> bool:
        """See `Lock.create`."""
        self.check()
        return target.create(content)

    def remove(self, targets: list[ObjectPath]) -> None:
        """See `Lock.remove`."""
        self.check()
        for target in targets:
            target.unlink()

    def clear_work(self) -> None:
        """See `Lock.clear_work`."""
        self.remove([found for found in self.work.glob("*") if found.name != self.path.name])

    def check(self) -> None:
        """See `Lock.check`."""
        if time.monotonic() - self._renewed > self.lease_seconds:
            raise lost(self.folder)

    def _renew(self, mode: PutMode) -> bool:
        """Write the lock if it is the version we know (or is not there); False where it isn't."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        content = json.dumps(this_process() | {"token": self.token, "nonce": uuid4().hex})  # each beat another version
        began = time.monotonic()
        with object_errors(self.path):
            try:
                result = self.path.store.put(self.path.key, content.encode(), mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        self._version, self._renewed = _version(dict(result)), began
        return True

    def _take_over_stale(self) -> None:
        """Replace a dead writer's lock by ours, unless another was faster.

        Raises:
            TransientError: the holder is alive.
        """
        try:
            found = self.path.head()
            holder: dict[str, Any] = json.loads(self.path.read_text())
        except FileNotFoundError:
            return  # released meanwhile: try again
        silence = self._now() - found["last_modified"].timestamp()
        if not is_gone(holder) and silence <= self.lease_seconds:
            raise TransientError(describe_holder(str(self.folder), holder, silence))
        self._renew(_version(found))

    def _now(self) -> float:
        """The store's own clock: two machines' clocks may differ by more than a lease."""
        probe = self.work / f"clock-{self.token}"
        with object_errors(probe):
            probe.store.put(probe.key, b"")
        now: float = probe.head()["last_modified"].timestamp()
        probe.unlink()
        return now

    def _keep_alive(self) -> None:
        while not self._ended.wait(self.lease_seconds / _BEATS):
            try:
                if not self._renew(self._version):
                    self._renewed = float("-inf")  # taken over
                    return
            except TransientError:
                continue  # the next beat may get through; without any for a lease, the writer takes itself for lost


def _version(found: dict[str, Any]) -> UpdateVersion:
    """What names an object's present version in a conditional put; buckets without versions have only the e_tag."""
    named = {key: found[key] for key in ("e_tag", "version") if found.get(key)}
    return cast("UpdateVersion", named)
