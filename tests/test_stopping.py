"""Lost work after a stop: SIGKILL loses at most flush_seconds of finished calls; SIGTERM and SIGINT lose none."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tiny
from conftest import instruction_row, succeed, write
from lengthen.common.method.ids import attempt_seed
from lengthen.common.store.manifest import read_manifest
from lengthen.common.tables.definitions import INSTRUCTIONS

# A stage that logs when each engine call ended (`call`), and when it last checked whether a flush is due (`check`).
LOGGED_STAGE = """
import importlib, sys, time
from lengthen.common.engine.echo import EchoEngine
from lengthen.common.store.writer import DatasetWriter
log = open(sys.argv[1], "a", buffering=1)
complete, check = EchoEngine.complete, DatasetWriter.flush_if_due
async def logged_complete(self, prompt, sampling, **rest):
    completion = await complete(self, prompt, sampling, **rest)
    print("call", time.monotonic(), sampling.seed, file=log)
    return completion
def logged_check(self):
    began = time.monotonic()
    check(self)
    print("check", began, 0, file=log)
EchoEngine.complete, DatasetWriter.flush_if_due = logged_complete, logged_check
sys.argv = ["lengthen", *sys.argv[3:]] if (stage := sys.argv[2]) else []
importlib.import_module(f"lengthen.{stage}.__main__").main()
"""
FLUSH_SECONDS = 0.6


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("stopping")
    tiny.write_config(
        folder / "config.yaml",
        model,
        echo={"words": 40, "loop_share": 0.3, "latency_seconds": 0.03},
        engine={"rows_in_flight": 4},
        store={"flush_seconds": FLUSH_SECONDS},
        generate={"responses": 3},
        augment={"instructions": 60},
    )
    write(folder / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write an essay about subject {n}.") for n in range(40)])
    succeed("generate", *command(folder, "generate", folder / "responses"), "--set", "echo.latency_seconds=0")
    return folder


def command(folder: Path, stage: str, output: Path, *more: str) -> list[str]:
    source = {"augment": [], "generate": ["--input", f"{folder}/instructions"], "expand": ["--input", f"{folder}/responses"]}[stage]
    return ["--config", f"{folder}/config.yaml", "--engine", "echo", *source, "--output", str(output), *more]


def start(log: Path, stage: str, arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", LOGGED_STAGE, str(log), stage, *arguments], stderr=subprocess.PIPE, text=True)


def logged(log: Path, kind: str) -> list[tuple[float, int]]:
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(float(words[1]), int(words[2])) for words in lines if len(words) == 3 and words[0] == kind]


def wait_for_calls(process: subprocess.Popen[str], log: Path, count: int) -> None:
    while len(logged(log, "call")) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def saved(output: Path) -> set[int]:
    """The seeds of the calls in the journal, derived from the row and the call as the stage derives them (`attempt_seed`)."""
    calls = [row for path in (output / ".work").glob("calls-*.parquet") for row in pq.read_table(path).to_pylist()]
    return {attempt_seed(0, row["id"], call) for row in calls for call in (row["call"], row["call"].rpartition(" ")[2])}


@pytest.mark.parametrize("stage", ["generate", "expand"])
def test_sigkill_loses_at_most_flush_seconds_of_finished_calls(inputs: Path, tmp_path: Path, stage: str) -> None:
    """Every call that ended flush_seconds before the last flush check is in the journal. All times are of the stage's clock."""
    rng, due = random.Random(3), 0
    for number in range(4):
        output, log = tmp_path / str(number), tmp_path / f"log-{number}"
        process = start(log, stage, command(inputs, stage, output))
        wait_for_calls(process, log, rng.randrange(60, 160))
        process.kill()
        process.communicate()
        last_check = max(moment for moment, _ in logged(log, "check"))
        finished = {seed for moment, seed in logged(log, "call") if moment < last_check - FLUSH_SECONDS}
        due += len(finished)
        assert finished <= saved(output)
    assert due > 50  # there were calls that could have been lost


@pytest.mark.parametrize(("stage", "number"), [("generate", signal.SIGTERM), ("expand", signal.SIGTERM), ("expand", signal.SIGINT),
                                               ("augment", signal.SIGTERM)])  # fmt: skip
def test_a_stopped_stage_loses_no_finished_call(inputs: Path, tmp_path: Path, stage: str, number: signal.Signals) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    process = start(log, stage, command(inputs, stage, output, "--set", "store.flush_seconds=3600"))
    wait_for_calls(process, log, 40)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[number], errors
    assert "in-flight engine calls may finish within 10 s" in errors and "the same command resumes" in errors
    assert {seed for _, seed in logged(log, "call")} <= saved(output)
    assert not (output / ".work" / "lock").exists()
    calls_before = len(logged(log, "call"))
    again = start(log, stage, command(inputs, stage, output, "--set", "store.flush_seconds=3600"))
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0 and "resumes after 1 stopped run" in errors and " 0 tokens were lost" in errors, errors
    seeds = [seed for _, seed in logged(log, "call")]
    assert len(seeds) > calls_before and len(seeds) == len(set(seeds))  # no call was repeated
    manifest = read_manifest(output)
    assert manifest is not None and manifest.timings["tokens_lost"] == 0


def test_calls_longer_than_the_grace_period_are_aborted(inputs: Path, tmp_path: Path) -> None:
    more = ["--set", "echo.latency_seconds=600", "--set", "store.grace_seconds=0.2"]
    process = start(tmp_path / "log", "generate", command(inputs, "generate", tmp_path / "out", *more))
    wait_until_in_flight(tmp_path / "out", process)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_a_second_signal_stops_immediately(inputs: Path, tmp_path: Path) -> None:
    more = ["--set", "echo.latency_seconds=600", "--set", "store.grace_seconds=600"]
    process = start(tmp_path / "log", "generate", command(inputs, "generate", tmp_path / "out", *more))
    wait_until_in_flight(tmp_path / "out", process)
    process.terminate()
    assert process.stderr is not None
    while "a second signal stops at once" not in process.stderr.readline():
        assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


def wait_until_in_flight(output: Path, process: subprocess.Popen[str]) -> None:
    """The first flush check comes after the first calls have started."""
    while not (output.parent / "log").exists() or not logged(output.parent / "log", "check"):
        assert process.poll() is None
        time.sleep(0.02)


def test_the_manifest_has_the_tokens_lost_by_a_kill(inputs: Path, tmp_path: Path) -> None:
    output, log = tmp_path / "out", tmp_path / "log"
    arguments = command(inputs, "expand", output)
    process = start(log, "expand", arguments)
    wait_for_calls(process, log, 100)
    process.kill()
    process.communicate()
    spent: dict[str, Any] = json.loads((output / ".work" / "spent.json").read_text())
    succeed("expand", *arguments)
    manifest = read_manifest(output)
    assert manifest is not None and manifest.timings["runs"] == 2
    assert 0 <= manifest.timings["tokens_lost"] <= spent["tokens"]
