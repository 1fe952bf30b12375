"""Print the packages that an image must install: the pins of a flavor, except those it doesn't need and those in the base image.

    python3 dependencies.py gpu not-in-images only-vllm

The Dockerfile runs it with the base image's Python, in the folder of the lists, before our packages are installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

# Our wheels are built with the pinned versions of these. In the virtual environment they hide the base image's versions.
_OURS = {"setuptools", "wheel"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(path: Path) -> list[str]:
    """The lines of a list without comments."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def needed(pins: Iterable[str], left_out: Iterable[str], present: Iterable[str]) -> list[str]:
    """The pins (`name==version`) that are neither left out nor already present. Tools that build wheels are needed even if present."""
    without = {canonical(name) for name in left_out} | {canonical(name) for name in present} - _OURS
    return [pin for pin in pins if canonical(pin.split("==")[0]) not in without]


if __name__ == "__main__":
    flavor, *lists = sys.argv[1:]
    here = Path(__file__).parent
    left_out = [name for each in lists for name in entries(here / f"{each}.txt")]
    present = [distribution.metadata["Name"] for distribution in distributions()]
    sys.stdout.writelines(f"{pin}\n" for pin in needed(entries(here / f"{flavor}.txt"), left_out, present))
