"""(f) Cost of a row, and peak memory, of the stage generate at 10,000, 100,000 and 1,000,000 rows: neither may grow with the rows.

The echo engine makes texts of some 60 words. Each run is a process of its own. Its seconds are those of the stage, from the first
look at the input to the committed dataset, without the imports, which would make few rows look expensive.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conftest import instruction_row
from lengthen.common.config.engine import Store
from lengthen.common.method.ids import row_id
from lengthen.common.store.commit import Outcome
from lengthen.common.store.origin import Origin
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import INSTRUCTIONS
from measuring import ROOT, Options, in_turns, note, run_program
from table import Figure

SETTINGS = ["echo.words=55", "generate.responses=1", "generate.attempts=1", "check.min_words=20", "model.max_model_len=4096"]
WANTED = "<= 1.3"
MEMORY = "ours < 600"


def measure(options: Options) -> list[Figure]:
    sizes = [options.size(size, size // 1000) for size in (10_000, 100_000, 1_000_000)]
    for size in sizes:
        note(f"  writing {size:,} instructions")
        write_instructions(options.work / f"instructions-{size}", size)
    found = in_turns(options.rounds, {size: lambda size=size: run(options.work, size) for size in sizes}, show)
    cost = {size: tuple(1e3 * one["seconds"] / size for one in found[size]) for size in sizes}
    memory = {size: tuple(one["peak_mb"] for one in found[size]) for size in sizes}
    least = sizes[0]
    figures = [Figure("f", f"cost of a row: {size:,} rows against {least:,}", "ms", cost[size], cost[least], WANTED) for size in sizes[1:]]
    return figures + [
        Figure("f", f"peak memory: {size:,} rows against {least:,}", "MB", memory[size], memory[least], MEMORY) for size in sizes[1:]
    ]


def write_instructions(folder: Path, count: int) -> None:
    with DatasetWriter(folder, INSTRUCTIONS, Origin({"rows": count}), Store()) as writer:
        for row in instructions(count):
            writer.add(row)
        writer.commit(Outcome(count))


def instructions(count: int) -> Iterator[dict[str, Any]]:
    """Ids in random order, as real ids are."""
    for number in range(count):
        yield instruction_row(number, f"Write about subject {number}.") | {"id": row_id("bench", 0, "", number)}


def run(work: Path, size: int) -> dict[str, Any]:
    folder = work / f"scale-{size}"
    spec = {
        "stage": "generate", "engine": "echo", "config": ROOT / "configs/laptop.yaml", "settings": SETTINGS,
        "input": work / f"instructions-{size}", "output": folder,
    }  # fmt: skip
    result = run_program(ROOT / "tests/bench/stage_run.py", spec)
    shutil.rmtree(folder)
    if result["rows"] + result["rejected"] != size:
        raise RuntimeError(f"{result['rows']} rows and {result['rejected']} rejected of {size}")
    return result


def show(result: dict[str, Any]) -> str:
    return f"{result['seconds']:.1f} s, {result['peak_mb']:.0f} MB, {result['rejected']} rejected"
