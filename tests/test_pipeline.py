"""All five stages through their command lines, with the echo engine."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
from conftest import rows, snapshot, succeed
from lengthen.common.store.manifest import read_manifest

STAGES = ("instructions", "responses", "expansions", "generator", "extender", "scores")


def run_iteration(config: Path, run: Path, engine: str, iteration: int = 1) -> None:
    """Run the commands of one iteration, as the Makefile does."""
    here, before = run / f"iter-{iteration:02d}", run / f"iter-{iteration - 1:02d}"
    common = ("--config", config, "--iteration", iteration)

    def adapter(role: str) -> tuple[object, ...]:
        return ("--adapter", before / role) if iteration > 1 else ()

    earlier = ("--input", before / "instructions") if iteration > 1 else ()
    succeed("augment", *common, "--engine", engine, "--output", here / "instructions", *earlier)
    succeed(
        "generate", *common, "--engine", engine, "--input", here / "instructions", "--output", here / "responses", *adapter("generator")
    )
    succeed("expand", *common, "--engine", engine, "--input", here / "responses", "--output", here / "expansions", *adapter("extender"))
    for role in ("generator", "extender"):
        succeed("finetune", *common, "--role", role, "--input", here / "expansions", "--output", here / role, *adapter(role))
    succeed("evaluate", *common, "--engine", engine, "--adapter", here / "generator", "--output", here / "scores")


@pytest.fixture(scope="module")
def echo_run(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("echo")
    config = tiny.write_config(folder / "config.yaml", model, echo={"words": 40, "loop_share": 0.2, "cut_share": 0.1})
    run_iteration(config, folder / "run", "echo")
    run_iteration(config, folder / "run", "echo", iteration=2)
    return config, folder / "run"


def test_echo_runs_two_iterations_and_every_row_is_accepted_or_rejected(echo_run: tuple[Path, Path]) -> None:
    _, run = echo_run
    for iteration in ("iter-01", "iter-02"):
        for stage in STAGES:
            manifest = read_manifest(run / iteration / stage)
            assert manifest is not None, stage
            assert manifest.rows_in == manifest.rows_out + sum(manifest.rejected.values())
            assert manifest.rows_out > 0
    assert any(read_manifest(run / "iter-01" / stage).rejected for stage in STAGES)  # type: ignore[union-attr]


def test_rows_point_to_the_rows_they_were_made_from(echo_run: tuple[Path, Path]) -> None:
    here = echo_run[1] / "iter-01"
    instructions = {row["id"]: row for row in rows(here / "instructions", "instructions")}
    responses = {row["id"]: row for row in rows(here / "responses", "responses")}
    for row in responses.values():
        assert row["instruction"] == instructions[row["instruction_id"]]["instruction"]
    for row in rows(here / "expansions", "expansions"):
        assert row["response"] == responses[row["response_id"]]["response"]
        assert row["growth"] > 1.2
    parents = {parent for row in instructions.values() for parent in row["parents"]}
    assert any(parent.startswith("seed-en-") for parent in parents)


def test_the_second_iteration_starts_with_the_adapters_of_the_first(echo_run: tuple[Path, Path]) -> None:
    _, run = echo_run
    first = {role: rows(run / "iter-01" / role, "adapters")[0] for role in ("generator", "extender")}
    for stage, role in (("responses", "generator"), ("expansions", "extender")):
        manifest = read_manifest(run / "iter-02" / stage)
        assert manifest is not None and manifest.fingerprint["adapter"] == first[role]["sha256"]
        assert {row["adapter"] for row in rows(run / "iter-02" / stage, stage)} == {first[role]["sha256"]}
    for role, before in first.items():
        after = rows(run / "iter-02" / role, "adapters")[0]
        assert after["adapter_sha256_before"] == before["sha256"] != after["sha256"]
    again = {row["instruction"] for row in rows(run / "iter-02" / "instructions", "instructions")}
    assert not again & {row["instruction"] for row in rows(run / "iter-01" / "instructions", "instructions")}


def test_a_second_run_changes_no_file(echo_run: tuple[Path, Path]) -> None:
    config, run = echo_run
    before = snapshot(run)
    run_iteration(config, run, "echo")
    run_iteration(config, run, "echo", iteration=2)
    assert snapshot(run) == before


@pytest.mark.parametrize("stage", ["augment", "generate", "expand", "finetune", "evaluate"])
def test_a_complete_stage_reports_it_without_heavy_imports(echo_run: tuple[Path, Path], stage: str) -> None:
    config, run = echo_run
    here = run / "iter-01"
    more = {
        "augment": ["--output", here / "instructions"],
        "generate": ["--input", here / "instructions", "--output", here / "responses"],
        "expand": ["--input", here / "responses", "--output", here / "expansions"],
        "finetune": ["--input", here / "expansions", "--output", here / "extender", "--role", "extender"],
        "evaluate": ["--adapter", here / "generator", "--output", here / "scores"],
    }[stage]
    command = [sys.executable, "-X", "importtime", "-m", f"lengthen.{stage}", "--config", config, *more]
    again = subprocess.run([*command, *([] if stage == "finetune" else ["--engine", "echo"])], check=True, capture_output=True, text=True)
    assert "already complete" in again.stderr
    imported = {line.split("|")[-1].strip().split(".")[0] for line in again.stderr.splitlines()}
    assert not imported & {"torch", "vllm", "transformers", "deepspeed", "datasets", "trl", "peft", "datasketch", "scipy"}


def test_the_same_seed_gives_the_same_bytes(echo_run: tuple[Path, Path], tmp_path: Path) -> None:
    config, run = echo_run
    common = ("--config", config, "--engine", "echo", "--set", "engine.rows_in_flight=3")
    succeed("augment", *common, "--output", tmp_path / "instructions")
    succeed("generate", *common, "--input", tmp_path / "instructions", "--output", tmp_path / "responses")
    for stage in ("instructions", "responses"):
        ours, theirs = (sorted((folder / stage).glob("*.parquet")) for folder in (tmp_path, run / "iter-01"))
        assert [path.name for path in ours] == [path.name for path in theirs]
        assert [path.read_bytes() for path in ours] == [path.read_bytes() for path in theirs]


def test_the_training_output_has_no_pickle_files(echo_run: tuple[Path, Path]) -> None:
    files = {path.name for path in (echo_run[1] / "iter-01" / "generator").rglob("*") if path.is_file()}
    assert {"adapter_model.safetensors", "adapter_config.json", ".manifest.json"} <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]


def test_a_stage_stopped_by_sigterm_saves_finished_rows_and_resumes(tmp_path: Path, model: Path) -> None:
    config = tiny.write_config(tmp_path / "c.yaml", model, augment={"instructions": 40}, engine={"rows_in_flight": 2})
    succeed("augment", "--config", config, "--engine", "echo", "--output", tmp_path / "i")
    arguments = ["--config", str(config), "--engine", "echo", "--input", str(tmp_path / "i"), "--output", str(tmp_path / "r")]
    slow = [sys.executable, "-m", "lengthen.generate", *arguments, "--set", "echo.latency_seconds=0.1"]
    stage = subprocess.Popen(slow, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "r" / ".work" / "spent.json").exists():  # until it has started
        time.sleep(0.02)
    time.sleep(1.5)
    stage.send_signal(signal.SIGTERM)
    _, errors = stage.communicate(timeout=30)
    assert stage.returncode == 143, errors
    assert not (tmp_path / "r" / ".manifest.json").exists()
    saved = len(list((tmp_path / "r" / ".work").glob("responses-*.parquet")))
    assert saved > 0
    finished = subprocess.run(slow, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    manifest = read_manifest(tmp_path / "r")
    assert manifest is not None and manifest.rows_in == 80
