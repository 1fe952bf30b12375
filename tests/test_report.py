"""The report: one self-contained page, for any texts in the data and for incomplete runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from click.testing import CliRunner, Result
from conftest import expansion_row, rows, succeed, write
from lengthen.common.config.engine import Store
from lengthen.common.method.ids import row_id
from lengthen.common.store.commit import Outcome
from lengthen.common.store.origin import Origin
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import ADAPTERS, EXPANSIONS, SCORES, TRAIN_LOG
from lengthen.evaluate.figures import FIGURES
from lengthen.evaluate.report.__main__ import main

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }} & \"quoted\" 'text'"
ADAPTER = {
    "id": "0" * 32, "role": "generator", "base_model": "b", "path": ".adapter", "sha256": "f" * 64, "tokens": 1,
    "adapter_sha256_before": None, "rows": 1, "rejected_rows": 0, "steps": 1, "train_loss": 1.0, "eval_loss": None,
    "iteration": 1, "seed": 1,
}  # fmt: skip
LOG = {"epoch": 0.5, "learning_rate": 1e-4, "grad_norm": 1.0, "tokens_per_second": 9.0}


def report(run: Path) -> Result:
    return CliRunner().invoke(main, [str(run), "--output", str(run / "report.html")])


def page_of(run: Path) -> str:
    result = report(run)
    assert result.exit_code == 0, (result.output, result.exception)
    return (run / "report.html").read_text()


def write_scores(folder: Path, content: list[dict[str, Any]]) -> None:
    with DatasetWriter(folder, SCORES, Origin({"test": True}), Store()) as writer:
        for row in content:
            writer.add(row)
        writer.commit(Outcome(len(content), figures=FIGURES))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A run of two iterations: scores with a judge, expansions with hostile texts, a trained generator."""
    run = tmp_path_factory.mktemp("report") / "run"
    evaluate = {"lengths": [[50, 100], [100, 200], [200, 300]], "ruler": [60, 120], "judge": {"model": "self", "by_tenth": True}}
    config = tiny.write_config(run.parent / "c.yaml", model, evaluate=evaluate)
    for iteration in (0, 1, 2):
        output = run / f"iter-{iteration:02d}" / "scores"
        more = ("--set", f"echo.words={40 + 30 * iteration}", "--set", "echo.loop_share=0.3")
        succeed("evaluate", "--config", config, "--engine", "echo", "--iteration", iteration, "--output", output, *more)
    for iteration in (1, 2):
        content = [expansion_row(n, "A short text.", f"{HOSTILE} Text {n}. " * (n % 5 + 2)) for n in range(20)]
        write(run / f"iter-0{iteration}" / "expansions", EXPANSIONS, [row | {"instruction": HOSTILE} for row in content])
    generator = write(run / "iter-01" / "generator", ADAPTERS, [ADAPTER])
    (generator / ".train_log").mkdir()
    log = [{"step": n, "loss": 3.0 - n / 10, "eval_loss": None} | LOG for n in range(1, 9)] + [
        {"step": 8, "loss": None, "eval_loss": 2.4} | LOG
    ]
    pq.write_table(pa.Table.from_pylist(log, TRAIN_LOG.schema), generator / ".train_log" / "part-00000.parquet")
    return run


@pytest.fixture(scope="module")
def page(template: Path) -> str:
    return page_of(template)


@pytest.fixture
def run(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "run"))


def test_the_page_shows_base_and_iterations_with_intervals(page: str) -> None:
    for label in ("base model", "iteration 1", "iteration 2"):
        assert f'<td colspan="8">{label}</td>' in page and f"<th>{label}</th>" in page
    assert re.search(r"iteration 2: the generator writes [\d,]+ words per prompt, the base model [\d,]+: \+\d+ \(95 % interval", page)
    assert re.search(r"<td>length score, of 1</td>(<td>[\d.e-]+ \([\d.e-]+ to [\d.e-]+\)</td>){3}", page)
    assert "judged by self:echo@echo. The judge is the evaluated base model, so it is not independent." in page
    assert page.count("<svg") == 14  # every chart except rejected rows, since this run has none


def test_the_text_of_rows_is_escaped(page: str) -> None:
    assert "<script" not in page and "onerror=alert(2)&gt;" in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<img" not in page and "{{ 7 * 7 }}" in page

    class Tags(HTMLParser):
        found: set[str] = set()  # noqa: RUF012

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.found.add(tag)
            assert not [name for name, _ in attributes if name.startswith("on")]

    parser = Tags()
    parser.feed(page)
    assert not parser.found & {"script", "img", "iframe", "object", "embed", "base", "form"}


def test_the_page_has_no_external_references(page: str) -> None:
    assert not re.findall(r"https?:|//[a-z]|@import", page)
    for reference in re.findall(r"(?:src|href)=\"([^\"]*)\"", page) + re.findall(r"url\(([^)]*)\)", page):
        assert reference.startswith(("#", "data:")), reference
    assert "default-src 'none'" in page


def test_the_same_run_gives_the_same_page(page: str, run: Path) -> None:
    assert page_of(run) == page


def test_the_charts_are_also_written_as_png_files_and_as_a_table(page: str, template: Path) -> None:
    run = template
    pictures = {path.stem for path in (run / "report").glob("*.png")}
    assert {"words_by_model", "ruler", "asked_and_written", "length_by_kind", "growth", "attempts", "losses", "decay"} <= pictures
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (run / "report").glob("*.png"))
    table = pq.read_table(run / "report" / "summary.parquet").to_pylist()
    [line] = [row for row in table if (row["iteration"], row["part"], row["measure"]) == (2, "overall", "words")]
    words = [row["words"] for row in rows(run / "iter-02" / "scores", "scores") if row["part"] == "benchmark"]
    assert line["mean"] == pytest.approx(sum(words) / len(words)) and line["low"] < line["mean"] < line["high"]


def test_charts_use_only_colours_of_the_page(page: str) -> None:
    svgs = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    for svg in svgs:
        assert "#010" not in svg and "var(--text)" in svg
        assert set(re.findall(r"(?:fill|stroke): (#[0-9a-f]+)", svg)) <= {"#ffffff"}, svg[:80]


def test_a_run_with_missing_stages_is_reported(run: Path, page: str) -> None:
    for stage in ("iter-00", "iter-01/generator/.train_log", "iter-02/scores"):
        shutil.rmtree(run / stage)
    (run / "iter-02" / "scores" / ".work").mkdir(parents=True)
    partial = page_of(run)
    assert "started, not complete" in partial and "started, not complete" not in page
    assert "Not evaluated yet: both base model and generator are needed for a comparison." in partial and "No data yet." in partial


def test_a_run_with_only_the_base_model_is_reported(run: Path) -> None:
    for iteration in ("iter-01", "iter-02"):
        shutil.rmtree(run / iteration)
    assert "No expansions yet." in page_of(run)


def test_a_damaged_dataset_is_named(run: Path) -> None:
    part = next((run / "iter-01" / "expansions").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-5])
    assert "differs from the manifest" in page_of(run)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    result = report(tmp_path)
    assert result.exit_code == 2 and "has no complete stage" in result.output


def test_a_page_of_five_thousand_rows_is_under_three_megabytes(run: Path) -> None:
    text = "A sentence of a long text about a river. " * 1500  # 13,500 words
    content = [expansion_row(n, "A short text.", text if n % 1000 == 0 else f"A text that is longer, number {n}.") for n in range(5000)]
    for folder in ("iter-01/expansions", "iter-02/expansions", "iter-02/scores"):
        shutil.rmtree(run / folder)
        if folder.endswith("expansions"):
            write(run / folder, EXPANSIONS, content)
    some = [row for row in rows(run / "iter-01" / "scores", "scores") if row["part"] == "benchmark"]
    many = [some[n % len(some)] | {"id": row_id("t", 0, "t", n), "prompt_id": str(n), "words": n % 700} for n in range(5000)]
    write_scores(run / "iter-02" / "scores", many)
    assert len(page_of(run).encode()) < 3_000_000


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[list[str]]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("NO BROWSER: install Debian's chromium to test that the page has no console errors and sends no requests")
    yield [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'browser'}",
        "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=3000", "--dump-dom",
    ]  # fmt: skip


def console(browser: list[str], page: Path) -> list[str]:
    """The messages in the browser's console. The page's content security policy blocks requests, so they appear there too."""
    shown = subprocess.run([*browser, f"file://{page}"], capture_output=True, text=True, timeout=120, check=True)
    assert "<h1>" in shown.stdout
    return [line for line in shown.stderr.splitlines() if "CONSOLE" in line]


def test_a_browser_reports_no_errors(page: str, tmp_path: Path, browser: list[str]) -> None:
    (tmp_path / "good.html").write_text(page)
    assert console(browser, tmp_path / "good.html") == []
    (tmp_path / "bad.html").write_text(page.replace("</h1>", '</h1><img src="http://127.0.0.1:9/x.png"><script>alert(1)</script>', 1))
    messages = " ".join(console(browser, tmp_path / "bad.html"))
    assert "x.png" in messages and "script" in messages  # so a request would be reported, and a script blocked
