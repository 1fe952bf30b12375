"""What an image has to install: the pins of a flavour, without those it doesn't need and those that the base has.

    python3 dependencies.py gpu not-in-images only-vllm

Runs while an image is built, under the base's Python, beside the lists: its own packages are none of ours.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

# Our wheels are built with these very versions; in a virtual environment they stand beside the base's own.
_OURS = {"setuptools", "wheel"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(path: Path) -> list[str]:
    """The lines of a list, without comments."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def needed(pins: Iterable[str], left_out: Iterable[str], present: Iterable[str]) -> list[str]:
    """The pins (`name==version`) whose names are neither left out nor, but for the tools that build wheels, present already."""
    without = {canonical(name) for name in left_out} | {canonical(name) for name in present} - _OURS
    return [pin for pin in pins if canonical(pin.split("==")[0]) not in without]


if __name__ == "__main__":
    flavor, *lists = sys.argv[1:]
    here = Path(__file__).parent
    left_out = [name for each in lists for name in entries(here / f"{each}.txt")]
    present = [distribution.metadata["Name"] for distribution in distributions()]
    sys.stdout.writelines(f"{pin}\n" for pin in needed(entries(here / f"{flavor}.txt"), left_out, present))
