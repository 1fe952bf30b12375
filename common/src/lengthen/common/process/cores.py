"""The cores that this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Those that its affinity allows, which `taskset` and some schedulers restrict, not all of the machine."""
    return len(os.sched_getaffinity(0))
