"""The CPU cores of this process: those that it may run on (its affinity, which a cpuset limits), and its cgroup's quota of time.

`os.cpu_count()` counts the machine's cores, also those of other pods: threads on all of them would slow each other down.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def available_cores(root: Path = ROOT) -> int:
    """Cores that this process can use at the same time: at least 1. A quota of 1.5 cores counts as 2."""
    quota = min(_quotas(root), default=math.inf)
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), quota)))


def _quotas(root: Path) -> Iterator[float]:
    """The quotas of the process's cgroup and its parents, in cores."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        # In a container the path may be that of the host, which is not there; its parents are, up to the mount.
        inside = Path(*(part for part in Path(path).parts if part not in ("/", "..")))
        if not controllers:
            for folder in (*_upward(mounts, inside), *_upward(mounts / "unified", inside)):
                yield _quota(_words(folder / "cpu.max"))
        elif "cpu" in controllers.split(","):
            for folder in (*_upward(mounts / controllers, inside), *_upward(mounts / "cpu", inside)):
                yield _quota(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))


def _upward(mount: Path, inside: Path) -> list[Path]:
    return [mount / part for part in (inside, *inside.parents)]


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _quota(words: list[str]) -> float:
    """From microseconds of CPU time and of the period; `max` or -1 is no quota."""
    if len(words) != 2 or words[0] == "max" or int(words[0]) <= 0:
        return math.inf
    return int(words[0]) / int(words[1])
