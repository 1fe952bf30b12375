"""The CPU cores of this process: those that it may run on (its affinity, which a cpuset limits), and its cgroup's quota of time.

`os.cpu_count()` counts the machine's cores, also those of other pods: threads on all of them would slow each other down.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path("/")


def available_cores(root: Path = ROOT) -> int:
    """Cores that this process can use at the same time: at least 1. A quota of 1.5 cores counts as 2."""
    quota = min(_quotas(root), default=math.inf)
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), quota)))


def core_list(cores: set[int] | None = None) -> str:
    """Numbers of cores as a list of ranges, such as `0-1,4`. None: those that this process may run on."""
    numbers = sorted(os.sched_getaffinity(0) if cores is None else cores)
    starts = [0, *(at for at, (one, other) in enumerate(pairwise(numbers), start=1) if other != one + 1), len(numbers)]
    ranges = [(numbers[begin], numbers[end - 1]) for begin, end in pairwise(starts)]
    return ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in ranges)


def thread_variables(root: Path = ROOT) -> dict[str, str]:
    """Environment variables with which vLLM uses exactly these cores on a CPU.

    Each thread is bound to a core. Under a quota that is smaller than the affinity there is no binding: all pods of a node see the same
    cores, and would be bound to the first ones.
    """
    cores = available_cores(root)
    if cores < len(os.sched_getaffinity(0)):
        return {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(cores)}
    return {"VLLM_CPU_OMP_THREADS_BIND": core_list()}


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
