"""What the parts of `make bench` share: their options, measuring in turns, and measuring in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parent.parent.parent
sys.path.append(str(ROOT / "tests"))  # for conftest (rows) and prose (texts)
Result = TypeVar("Result")


class CannotMeasure(Exception):
    """A part can't be measured on this machine. The message, one line, becomes a row of the table."""


@dataclass(frozen=True)
class Options:
    """`small` only tries the programs, in seconds: its figures mean nothing."""

    rounds: int
    small: bool
    model: Path
    work: Path  # a folder that is deleted at the end
    cache: Path  # a folder for environments of their own, which is kept

    def size(self, full: int, small: int) -> int:
        return small if self.small else full


def note(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def in_turns(
    rounds: int, sides: Mapping[str, Callable[[], Result]], show: Callable[[Result], str] = lambda result: f"{result:,.1f}"
) -> dict[str, list[Result]]:
    """Measure each side once in each round. Every second round has the opposite order, so that no side is always the later one."""
    found: dict[str, list[Result]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides) if number % 2 == 0 else list(sides)[::-1]:
            found[name].append(sides[name]())
            note(f"  round {number + 1}: {name}: {show(found[name][-1])}")
    return found


def busy_cores(sample: float = 1.0) -> float:
    """The cores that other programs keep busy while this one sleeps for `sample` seconds."""

    def busy() -> int:  # in ticks: user, nice, system; the 4th and 5th are idle and waiting for a disk
        return sum(int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:4])

    before, began = busy(), time.perf_counter()
    time.sleep(sample)
    return (busy() - before) / os.sysconf("SC_CLK_TCK") / (time.perf_counter() - began)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run_program(
    program: Path, spec: Mapping[str, Any], python: Path = Path(sys.executable), environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run `PYTHON PROGRAM SPEC RESULT`, two JSON files, in a process of its own.

    Returns:
        the program's result, and `process_seconds` from its start to its end.

    Raises:
        RuntimeError: the program failed; the message has the end of its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "spec.json", Path(folder) / "result.json"
        before.write_text(json.dumps(spec, default=str))
        began = time.perf_counter()
        done = subprocess.run(
            [str(python), str(program), str(before), str(after)], env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        took = time.perf_counter() - began
        if done.returncode or not after.exists():
            raise RuntimeError(f"{program.name} ended with {done.returncode}:\n{done.stdout[-3000:]}")
        result: dict[str, Any] = json.loads(after.read_text())
        return result | {"process_seconds": took}


def spec_and_result() -> tuple[dict[str, Any], Path]:
    """For a program that `run_program` starts: what it is to do, and the file that it has to write."""
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    return spec, Path(sys.argv[2])


def peak_mb() -> float:
    """The peak resident memory of this process in MB (10^6 bytes)."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6
