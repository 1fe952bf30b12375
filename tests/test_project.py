"""The whole project: command lines start fast, configs load, other tools can read datasets, the Makefile has the right order."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import datasets
import duckdb
import pyarrow.dataset
import pytest
from conftest import ROOT, expansion_row
from lengthen.common.config.engine import Store
from lengthen.common.config.load import load_config
from lengthen.common.store.commit import Outcome
from lengthen.common.store.origin import Origin
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import EXPANSIONS, TABLES
from lengthen.common.text.rejection import Rejection

STAGES = ("augment", "generate", "expand", "finetune", "evaluate")
HEAVY = {"torch", "vllm", "transformers", "deepspeed", "datasets", "trl", "peft"}


def test_every_folder_of_stages_is_a_stage() -> None:
    assert {path.name for path in (ROOT / "stages").iterdir() if path.is_dir()} == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_help_shows_the_options_without_heavy_imports(stage: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", f"lengthen.{stage}", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--config" in shown.stdout and "--dry-run" in shown.stdout
    imported = {line.split("|")[-1].strip().split(".")[0] for line in shown.stderr.splitlines()}
    assert not imported & (HEAVY | {"pyarrow", "pydantic", "numpy"})


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_file_loads(path: Path) -> None:
    load_config(path)


def test_the_list_of_configs_is_complete() -> None:
    assert {path.stem for path in (ROOT / "configs").glob("*.yaml")} == {"laptop", "smoke", "qwen2.5-7b", "llama3.1-8b"}


@pytest.mark.parametrize("stage", ["common", *STAGES])
def test_every_package_ships_its_data_files(stage: str) -> None:
    """Package data must be declared. With an editable install a missing declaration has no effect, but an image lacks the file."""
    folder = Path(str(resources.files(f"lengthen.{stage}")))
    declared = tomllib.loads((folder.parents[2] / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {path for package, patterns in declared.items() for pattern in patterns for path in package_folder(package).glob(pattern)}
    data = {file for file in folder.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    assert data == shipped
    assert folder / "py.typed" in data  # so that type checkers of other projects use our annotations


def package_folder(package: str) -> Path:
    return Path(str(resources.files(package)))


def test_other_tools_read_only_the_rows_of_a_dataset(tmp_path: Path) -> None:
    rows = [expansion_row(n, "A short text.", "A text that is longer than the short one.") for n in range(5)]
    with DatasetWriter(tmp_path / "expansions", EXPANSIONS, Origin({}), Store()) as writer:
        for row in rows:
            writer.add(row)
        writer.reject("f" * 32, "e" * 32, Rejection("loop", "detail"))
        writer.commit(Outcome(6))
    (tmp_path / "expansions" / ".train_log").mkdir()
    (tmp_path / "expansions" / ".train_log" / "part-0.parquet").write_bytes(b"not even Parquet")
    loaded = datasets.load_dataset("parquet", data_dir=str(tmp_path / "expansions"), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.num_rows == 5 and loaded.column_names == EXPANSIONS.schema.names
    folder = tmp_path / "expansions"
    assert duckdb.sql(f"select count(*) from read_parquet('{folder}/*.parquet')").fetchall() == [(5,)]  # noqa: S608
    assert pyarrow.dataset.dataset(folder, format="parquet").count_rows() == 5


def test_every_table_except_the_training_log_has_an_id() -> None:
    assert [name for name, table in TABLES.items() if "id" not in table.schema.names] == ["train_log"]


def test_the_makefile_runs_iteration_one_before_iteration_two() -> None:
    plan = subprocess.run(["make", "-n", "iteration", "N=2", "RUN=/nowhere/run"], cwd=ROOT, capture_output=True, text=True, check=True)
    order = [line for line in plan.stdout.replace("\\\n", " ").splitlines() if " -m lengthen." in line and "embedded" not in line]
    outputs = [line.split("--output ")[1].split()[0].removeprefix("/nowhere/run/") for line in order if "--output" in line]
    assert outputs.index("iter-01/extender") < outputs.index("iter-02/expansions")
    assert outputs.index("iter-01/generator") < outputs.index("iter-02/responses")
    stages = ("instructions", "responses", "expansions", "generator", "extender", "scores")
    assert sorted(outputs) == sorted(["iter-00/scores", *(f"iter-{k}/{stage}" for k in ("01", "02") for stage in stages)])
    second = next(line for line in order if "iter-02/responses --adapter" in " ".join(line.split()))
    assert "--adapter /nowhere/run/iter-01/generator" in " ".join(second.split())
