"""The process that holds a lock, identified by its start time too, since process numbers are used again."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "processes": _pid_namespace(), "pid": os.getpid(), "started": _start_time(os.getpid())}


def has_ended(holder: dict[str, Any]) -> bool:
    """Whether the holder has ended. False for another host or container: only missing heartbeats tell there."""
    return bool(holder["processes"] == _pid_namespace() and _start_time(holder["pid"]) != holder["started"])


def locked_message(folder: str, holder: dict[str, Any], heartbeat_age: float) -> str:
    return (
        f"{folder} is being written by process {holder['pid']} on {holder['host']} "
        f"(last heartbeat {max(0.0, heartbeat_age):.0f} s ago); wait for it, or give another --output"
    )


def _pid_namespace() -> str:
    """Identifies the boot and the PID namespace: containers with the same host name have different ones."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"unknown {os.getpid()}"


def _start_time(pid: int) -> str:
    """When a process on this host started, in clock ticks since boot; "" when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
