"""What a kill can cost: at most flush_seconds of finished calls for SIGKILL, nothing for SIGTERM and SIGINT."""

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

# A stage that notes when each engine call ended, and when it last looked whether something has to be saved.
DIARY = """
import importlib, sys, time
from lengthen.common.engine.echo import EchoEngine
from lengthen.common.store.writer import DatasetWriter
diary = open(sys.argv[1], "a", buffering=1)
complete, look = EchoEngine.complete, DatasetWriter.flush_if_due
async def noting(self, prompt, sampling, **rest):
    completion = await complete(self, prompt, sampling, **rest)
    print("call", time.monotonic(), sampling.seed, file=diary)
    return completion
def looking(self):
    began = time.monotonic()
    look(self)
    print("look", began, 0, file=diary)
EchoEngine.complete, DatasetWriter.flush_if_due = noting, looking
sys.argv = ["lengthen", *sys.argv[3:]] if (stage := sys.argv[2]) else []
importlib.import_module(f"lengthen.{stage}.__main__").main()
"""
FLUSH_SECONDS = 0.6


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
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


def start(diary: Path, stage: str, arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", DIARY, str(diary), stage, *arguments], stderr=subprocess.PIPE, text=True)


def notes(diary: Path, kind: str) -> list[tuple[float, int]]:
    lines = [line.split() for line in diary.read_text().splitlines()] if diary.exists() else []
    return [(float(words[1]), int(words[2])) for words in lines if len(words) == 3 and words[0] == kind]


def wait_for_calls(process: subprocess.Popen[str], diary: Path, count: int) -> None:
    while len(notes(diary, "call")) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def saved(output: Path) -> set[int]:
    """The seeds of the calls in the journal: they are named as the row's logic names them (`attempt_seed`)."""
    calls = [row for path in (output / ".work").glob("calls-*.parquet") for row in pq.read_table(path).to_pylist()]
    return {attempt_seed(0, row["id"], call) for row in calls for call in (row["call"], row["call"].rpartition(" ")[2])}


@pytest.mark.parametrize("stage", ["generate", "expand"])
def test_sigkill_costs_at_most_flush_seconds_of_finished_calls(workshop: Path, tmp_path: Path, stage: str) -> None:
    """By the stage's own clock: what had ended flush_seconds before its last look at the journal is in the journal."""
    dice, old = random.Random(3), 0
    for number in range(4):
        output, diary = tmp_path / str(number), tmp_path / f"diary-{number}"
        process = start(diary, stage, command(workshop, stage, output))
        wait_for_calls(process, diary, dice.randrange(60, 160))
        process.kill()
        process.communicate()
        last_look = max(moment for moment, _ in notes(diary, "look"))
        finished = {seed for moment, seed in notes(diary, "call") if moment < last_look - FLUSH_SECONDS}
        old += len(finished)
        assert finished <= saved(output)
    assert old > 50  # there was something to lose


@pytest.mark.parametrize(("stage", "number"), [("generate", signal.SIGTERM), ("expand", signal.SIGTERM), ("expand", signal.SIGINT),
                                               ("augment", signal.SIGTERM)])  # fmt: skip
def test_a_stopped_stage_loses_no_finished_call(workshop: Path, tmp_path: Path, stage: str, number: signal.Signals) -> None:
    output, diary = tmp_path / "out", tmp_path / "diary"
    process = start(diary, stage, command(workshop, stage, output, "--set", "store.flush_seconds=3600"))
    wait_for_calls(process, diary, 40)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[number], errors
    assert "in-flight engine calls may finish within 10 s" in errors and "the same command resumes" in errors
    assert {seed for _, seed in notes(diary, "call")} <= saved(output)
    assert not (output / ".work" / "lock").exists()
    before = len(notes(diary, "call"))
    again = start(diary, stage, command(workshop, stage, output, "--set", "store.flush_seconds=3600"))
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0 and "resumes after 1 stopped run" in errors and " 0 tokens were lost" in errors, errors
    seeds = [seed for _, seed in notes(diary, "call")]
    assert len(seeds) > before and len(seeds) == len(set(seeds))  # nothing was asked twice
    manifest = read_manifest(output)
    assert manifest is not None and manifest.timings["tokens_lost"] == 0


def test_calls_that_outlast_the_grace_are_aborted(workshop: Path, tmp_path: Path) -> None:
    more = ["--set", "echo.latency_seconds=600", "--set", "store.grace_seconds=0.2"]
    process = start(tmp_path / "diary", "generate", command(workshop, "generate", tmp_path / "out", *more))
    wait_until_in_flight(tmp_path / "out", process)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_a_second_signal_stops_at_once(workshop: Path, tmp_path: Path) -> None:
    more = ["--set", "echo.latency_seconds=600", "--set", "store.grace_seconds=600"]
    process = start(tmp_path / "diary", "generate", command(workshop, "generate", tmp_path / "out", *more))
    wait_until_in_flight(tmp_path / "out", process)
    process.terminate()
    assert process.stderr is not None
    while "a second signal stops at once" not in process.stderr.readline():
        assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


def wait_until_in_flight(output: Path, process: subprocess.Popen[str]) -> None:
    """The first look at the journal comes after the first calls have begun."""
    while not (output.parent / "diary").exists() or not notes(output.parent / "diary", "look"):
        assert process.poll() is None
        time.sleep(0.02)


def test_what_a_kill_has_cost_stands_in_the_manifest(workshop: Path, tmp_path: Path) -> None:
    output, diary = tmp_path / "out", tmp_path / "diary"
    arguments = command(workshop, "expand", output)
    process = start(diary, "expand", arguments)
    wait_for_calls(process, diary, 100)
    process.kill()
    process.communicate()
    spent: dict[str, Any] = json.loads((output / ".work" / "spent.json").read_text())
    succeed("expand", *arguments)
    manifest = read_manifest(output)
    assert manifest is not None and manifest.timings["runs"] == 2
    assert 0 <= manifest.timings["tokens_lost"] <= spent["tokens"]
