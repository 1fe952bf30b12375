"""Who holds a lock: a process, named so that its end can be told from another one's beginning."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "processes": _process_space(), "pid": os.getpid(), "started": _process_start(os.getpid())}


def is_gone(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process that we could see, and has ended. Of other hosts and containers only silence tells."""
    return bool(holder["processes"] == _process_space() and _process_start(holder["pid"]) != holder["started"])


def describe_holder(folder: str, holder: dict[str, Any], silence: float) -> str:
    return (
        f"{folder} is being written by process {holder['pid']} on {holder['host']} "
        f"(last sign of life {max(0.0, silence):.0f} s ago); wait for it, or give another --output"
    )


def _process_space() -> str:
    """Names the table of processes that this one sees: containers with one host name have different ones."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"unknown {os.getpid()}"


def _process_start(pid: int) -> str:
    """When a process on this host started, in clock ticks since boot; "" when it has ended. A number is used again, a start isn't."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
