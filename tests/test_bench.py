"""The programs of `make bench`: the table and its ratios, the engines that only measuring uses, and that every part exists."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import ROOT

BENCH = ROOT / "tests" / "bench"
sys.path.append(str(BENCH))

import table  # noqa: E402
from measuring import busy_cores, in_turns  # noqa: E402
from table import Figure  # noqa: E402

VERSIONS = {"python": "3.11", "host": "h", "git_revision": "0123456789abcdef"}
PROGRAMS = {"generation", "stage_run", "distilabel_rows", "llama_factory_train"}  # started by a part, in a process of their own
SHARED = {"__main__", "table", "measuring", "prompts", "engines", "environments"}
ALONE = {"makespan"}  # simulated time, not a ratio of two measurements


def write(folder: Path, *figures: Figure, parts: str = "a", date: str = "2026-01-02T00:00:00+00:00") -> str:
    return table.write(folder, figures, set(parts), date, VERSIONS).read_text()


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    row = Figure("a", "x", "rows/s", (10.0, 30.0, 40.0), (10.0, 10.0, 20.0)).row()
    assert (row["ratio"], row["lowest"], row["highest"], row["rounds"]) == (2.0, 1.0, 3.0, 3)
    assert (row["ours"], row["other"]) == (30.0, 10.0)


def test_sides_that_were_not_measured_equally_often_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        Figure("a", "x", "rows/s", (1.0, 2.0), (1.0,)).row()


def test_the_table_is_written_as_markdown_and_parquet(tmp_path: Path) -> None:
    page = write(tmp_path, Figure("a", "speed", "tokens/s", (300.0,), (150.0,), ">= 1.9"))
    assert "| a | speed | 300 | 150 | tokens/s | **2.00** | 2.00 | 2.00 | 1 | >= 1.9 |" in page
    assert "at revision 012345678" in page and "python 3.11" in page and "host" not in page
    written = pq.read_table(tmp_path / "bench.parquet")
    assert {"part", "what", "ours", "other", "unit", "ratio", "lowest", "highest", "rounds"} <= set(written.column_names)
    metadata = {key.decode(): value.decode() for key, value in written.schema.metadata.items()}
    assert set(metadata) == {"machine", "date", "versions", "revision"}
    assert json.loads(metadata["machine"])["cores"] and metadata["revision"] == VERSIONS["git_revision"]


def test_a_part_that_cannot_run_is_a_row_with_the_reason(tmp_path: Path) -> None:
    page = write(tmp_path, Figure("c", "rows", "rows/s", skipped="no registry"), parts="c")
    assert "| c | rows | **skipped: no registry** |" in page
    [row] = pq.read_table(tmp_path / "bench.parquet").to_pylist()
    assert row["ratio"] is None and row["rounds"] == 0


def test_parts_that_were_not_measured_again_stay_in_the_table(tmp_path: Path) -> None:
    write(tmp_path, Figure("a", "old", "s", (1.0,), (1.0,)), Figure("c", "kept", "s", (1.0,), (1.0,)), parts="ac")
    page = write(tmp_path, Figure("a", "new", "s", (1.0,), (1.0,)), date="2026-02-03T00:00:00+00:00")
    assert "| new |" in page and "| kept |" in page and "| old |" not in page
    assert page.index("| new |") < page.index("| kept |")
    assert "2026-01-02 and 2026-02-03" in page


def test_a_page_gets_the_table_between_its_markers_and_nothing_else_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.insert(page, "| new |\n")
    assert page.read_text() == f"before\n{table.BEGIN}\n\n| new |\n\n{table.END}\nafter\n"
    table.insert(page, "| newer |\n")
    assert page.read_text() == f"before\n{table.BEGIN}\n\n| newer |\n\n{table.END}\nafter\n"


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for content in ("text", f"{table.END}\n{table.BEGIN}", f"{table.BEGIN}{table.BEGIN}{table.END}"):
        page.write_text(content)
        with pytest.raises(ValueError, match="needs the line"):
            table.insert(page, "x")
        assert page.read_text() == content


def test_sides_take_turns_and_every_second_round_is_the_other_way_round() -> None:
    order: list[str] = []
    found = in_turns(3, {"x": lambda: order.append("x") or 1, "y": lambda: order.append("y") or 2})
    assert order == ["x", "y", "y", "x", "x", "y"] and found == {"x": [1, 1, 1], "y": [2, 2, 2]}


def test_in_lock_step_no_call_starts_before_all_earlier_ones_ended() -> None:
    from engines import LockStepEngine

    events: list[tuple[str, int]] = []

    class Inner:
        control_tokens: frozenset[str] = frozenset()

        async def complete(self, prompt: int, *_: object, **__: object) -> None:
            events.append(("begin", prompt))
            await asyncio.sleep(0.01 * prompt)
            events.append(("end", prompt))

    async def row(engine: LockStepEngine, calls: int) -> None:
        for _ in range(calls):
            await engine.complete(calls, None)  # type: ignore[arg-type]

    async def all_rows() -> None:
        engine = LockStepEngine(Inner())  # type: ignore[arg-type]
        await asyncio.gather(row(engine, 1), row(engine, 2), row(engine, 3))

    asyncio.run(all_rows())

    assert [kind for kind, _ in events] == ["begin"] * 3 + ["end"] * 3 + ["begin"] * 2 + ["end"] * 2 + ["begin", "end"]


def test_every_module_of_the_bench_is_in_a_part_and_measures() -> None:
    tree = ast.parse((BENCH / "__main__.py").read_text())
    [parts] = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PARTS"]
    modules = {module for names in ast.literal_eval(parts).values() for module in names}
    assert modules | PROGRAMS | SHARED | ALONE == {path.stem for path in BENCH.glob("*.py")}
    for module in modules:
        functions = {node.name for node in ast.parse((BENCH / f"{module}.py").read_text()).body if isinstance(node, ast.FunctionDef)}
        assert "measure" in functions, module


def test_the_page_on_performance_explains_every_part_and_has_the_markers() -> None:
    page = ROOT / "docs" / "performance.md"
    table.check_markers(page)
    assert re.findall(r"^\*\*\((\w)\)", page.read_text(), re.MULTILINE) == list("abcdef")


def test_an_unknown_part_is_refused_before_anything_is_measured() -> None:
    done = subprocess.run([sys.executable, str(BENCH), "--only", "a,x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "the parts are a, b, c, d, e, f" in done.stderr


def test_other_programs_load_is_seen() -> None:
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        assert busy_cores(1.0) > 0.2
    finally:
        spinning.kill()
        spinning.wait()
