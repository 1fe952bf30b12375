"""One writer a dataset: a lock with a heartbeat, and a staging folder that fences off a writer who lost it.

Everything a writer makes is written in its own folder `.work/writer-TOKEN/` and moved into place by rename or link. Who
takes over a stale lock first renames that folder away: the earlier writer, should it wake up, has nothing left to move, so
it can neither add to the journal nor commit. No check-then-act is needed for that.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from lengthen.common.errors import TransientError
from lengthen.common.store.files import create_exclusively, disk_errors

_BEATS = 5  # heartbeats in a lease


class Lock:
    """Held from `acquire` to `release`. `staging` is the folder for this writer's unfinished files."""

    def __init__(self, work: Path, lease_seconds: float) -> None:
        self.path, self.work, self.lease_seconds = work / "lock.json", work, lease_seconds
        self.token = uuid4().hex[:12]
        self.staging = work / f"writer-{self.token}"
        self._ended = threading.Event()
        self._beat = threading.Thread(target=self._keep_alive, name="lock heartbeat", daemon=True)

    def acquire(self) -> None:
        """Take the lock, from a dead or silent holder too.

        Raises:
            TransientError: somebody else holds it; names the holder.
        """
        with disk_errors(self.work):
            self.work.mkdir(parents=True, exist_ok=True)
            self.staging.mkdir()
        me = {"token": self.token, "host": socket.gethostname(), "pid": os.getpid(), "started": _process_start(os.getpid())}
        while not create_exclusively(self.path, json.dumps(me).encode(), self.staging):
            self._remove_stale()
        self._beat.start()

    def release(self) -> None:
        """Give the lock back, unless it was taken away."""
        self._ended.set()
        self._beat.join()
        if (holder := _read(self.path)) and holder["token"] == self.token:
            self.path.unlink(missing_ok=True)
        shutil.rmtree(self.staging, ignore_errors=True)

    def _remove_stale(self) -> None:
        holder = _read(self.path)
        if holder is None:
            return  # released meanwhile, or being written: try again
        if not self._is_stale(holder):
            self.staging.rmdir()
            raise TransientError(
                f"{self.work.parent} is being written by process {holder['pid']} on {holder['host']} "
                f"(last sign of life {self._silence():.0f} s ago); wait for it, or give another --output"
            )
        # Fence first, then free the lock. Of two that do this at once, one rename of the lock succeeds.
        for old, new in ((self.work / f"writer-{holder['token']}", f"lost-{holder['token']}"), (self.path, f"lost-{holder['token']}.json")):
            try:
                old.rename(self.work / new)
            except FileNotFoundError:
                continue

    def _is_stale(self, holder: dict[str, Any]) -> bool:
        if holder["host"] == socket.gethostname() and _process_start(holder["pid"]) != holder["started"]:
            return True  # that process is gone, or its number belongs to another one now
        return self._silence() > self.lease_seconds

    def _silence(self) -> float:
        try:
            return time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _keep_alive(self) -> None:
        while not self._ended.wait(self.lease_seconds / _BEATS):
            holder = _read(self.path)
            if holder is None or holder["token"] != self.token:
                return
            try:
                os.utime(self.path)
            except FileNotFoundError:
                return


def lost(path: Path) -> TransientError:
    """What a writer says that finds its staging folder gone."""
    return TransientError(f"{path}: another process took this dataset over while this one was silent; nothing of it is changed")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        holder: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return holder


def _process_start(pid: int) -> str:
    """When a process on this host started, in clock ticks since boot; "" when there is none. A number is used again, a start isn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
