"""`make` with SHARDS: the shards of a stage side by side on this machine, each on GPUs or cores of its own."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
from conftest import ROOT, instruction_row, refused, snapshot, succeed, write
from lengthen.common.method.ids import row_id
from lengthen.common.process.errors import UserError
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.shards import Shard
from lengthen.common.tables.definitions import INSTRUCTIONS

sys.path.insert(0, str(ROOT / "stages"))
import own_devices as devices

SLOW = {"echo": {"words": 40, "latency_seconds": 0.3}, "store": {"flush_rows": 1, "flush_seconds": 0.05}}
ONE_BY_ONE = "--set engine.rows_in_flight=1"  # so that the shards are still at work when the signal is sent


def started(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    """`make` with these arguments, in a process group of its own."""
    environment = {**os.environ, "MAKEFLAGS": "", "COLUMNS": "140", **variables}
    command = ["make", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)


def made(*arguments: object, **variables: str) -> str:
    """What `make` wrote on stderr; it has to succeed."""
    process = started(*arguments, **variables)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 0, stderr
    return stderr


def digest(folder: Path) -> str:
    manifest = read_manifest(folder)
    assert manifest is not None, folder
    return manifest.content_digest


def wait_for_rows(*shards: Path) -> None:
    """Until each of these shards has saved a row, and so is at work."""
    deadline = time.monotonic() + 60
    while not all(list((shard / ".work").glob("responses-*.parquet")) for shard in shards):
        assert time.monotonic() < deadline, "no row was saved"
        time.sleep(0.02)


def process_of(shard: str, folder: Path) -> int:
    """The process that makes a shard of this dataset."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if "-m" in words and shard in words and str(folder) in words:
            return int(entry.name)
    raise AssertionError(f"no process makes shard {shard} of {folder}")


def nothing_runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_two_shards_side_by_side_make_the_datasets_of_one_process(tmp_path: Path, model: Path) -> None:
    config = tiny.write_config(tmp_path / "c.yaml", model, echo={"words": 40, "loop_share": 0.2, "cut_share": 0.1})
    one, two = ["expand", "baseline", f"CONFIG={config}", f"RUN={tmp_path / 'one'}", "ENGINE=echo"], []
    made(*one)
    two = [*one, f"RUN={tmp_path / 'two'}", "SHARDS=2"]
    log = made(*two)
    for stage in ("generate", "expand", "evaluate"):
        assert {f"{stage} 0/2: ", f"{stage} 1/2: "} <= {line[: len(stage) + 6] for line in log.splitlines()}
    for dataset in ("iter-01/responses", "iter-01/expansions", "iter-00/scores"):
        assert digest(tmp_path / "two" / dataset) == digest(tmp_path / "one" / dataset)
        assert (tmp_path / "two" / dataset / "shard-1-of-2" / ".manifest.json").exists()
    before = snapshot(tmp_path)
    for again in (two, [*one, "SHARDS=2"], [*two, "SHARDS=1"]):  # sealed, made without shards, and sealed but asked for without
        assert made(*again).count("already complete") == 4
    assert snapshot(tmp_path) == before


def test_of_four_shards_one_is_empty_and_one_is_killed_and_the_same_command_finishes(tmp_path: Path, model: Path) -> None:
    """Shard 2 gets no row. A killed shard does not stop the others."""
    config = tiny.write_config(tmp_path / "c.yaml", model, generate={"responses": 1}, **SLOW)
    of = {index: [n for n in range(200) if Shard(index, 4).holds(row_id("generate", 1, f"{n:032x}", 0))][:6] for index in (0, 1, 3)}
    ids = [number for numbers in of.values() for number in numbers]
    write(tmp_path / "in", INSTRUCTIONS, [instruction_row(number, f"Write about subject {number}.") for number in ids])
    given = ["--config", str(config), "--engine", "echo", "--input", str(tmp_path / "in"), "--output"]
    succeed("generate", *given, tmp_path / "whole")
    output = tmp_path / "out"
    shards = [Shard(index, 4).folder(output) for index in range(4)]
    variables = {"OUTPUT": str(output), "COMMAND": shlex.join([sys.executable, "-m", "lengthen.generate", *given, str(output)])}
    arguments = ("--jobs", 4, "--keep-going", "-f", "stages/shards.mk", "SHARDS=4")

    process = started(*arguments, **variables | {"COMMAND": f"{variables['COMMAND']} {ONE_BY_ONE}"})
    wait_for_rows(shards[1])
    os.kill(process_of("1/4", output), signal.SIGKILL)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 2, stderr
    manifests = [read_manifest(shard) for shard in shards]
    assert [manifest and bool(manifest.rows_in) for manifest in manifests] == [True, None, False, True], stderr
    assert read_manifest(output) is None

    stderr = made(*arguments, **variables)
    assert "generate 1/4: resumes after 1 stopped run" in stderr
    assert stderr.count("already complete") == 3
    assert digest(output) == digest(tmp_path / "whole")


def test_ctrl_c_stops_all_shards_and_what_they_made_is_saved(tmp_path: Path, model: Path) -> None:
    config = tiny.write_config(tmp_path / "c.yaml", model, augment={"instructions": 12}, **SLOW)
    arguments = ["generate", f"CONFIG={config}", f"RUN={tmp_path / 'run'}", "ENGINE=echo"]
    output = tmp_path / "run" / "iter-01" / "responses"
    shards = [Shard(index, 2).folder(output) for index in range(2)]
    made("augment", *arguments[1:])
    process = started(*arguments, "SHARDS=2", f"OPTIONS={ONE_BY_ONE}")
    wait_for_rows(*shards)
    os.killpg(process.pid, signal.SIGINT)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode != 0, stderr
    assert nothing_runs(process.pid)
    assert not [folder for folder in (*shards, output) if read_manifest(folder)]
    stderr = made(*arguments, "SHARDS=2")
    assert all(f"generate {index}/2: resumes after 1 stopped run" in stderr for index in range(2)), stderr
    made(*arguments, f"RUN={tmp_path / 'one'}")
    assert digest(output) == digest(tmp_path / "one" / "iter-01" / "responses")


def test_a_run_that_was_started_without_shards_is_not_made_again_with_shards(tmp_path: Path, config: Path) -> None:
    write(tmp_path / "in", INSTRUCTIONS, [instruction_row(number, f"Write about subject {number}.") for number in range(4)])
    arguments = ["--config", config, "--engine", "echo", "--input", tmp_path / "in", "--output", tmp_path / "out"]
    stopped = ["--set", "echo.cut_share=1", "--set", "generate.max_rejected_share=0.1", "--set", "generate.attempts=1"]
    assert "were rejected" in refused("generate", *arguments, *stopped)
    assert "was started without shards" in refused("generate", *arguments, *stopped, "--shard", "0/2")


def planned(*arguments: str) -> list[str]:
    """The commands that `make -n` shows, each with single blanks."""
    command = ["make", "-n", *arguments, "N=2", "RUN=/runs/try", "ENGINE=echo"]
    plan = subprocess.run(command, cwd=ROOT, env={**os.environ, "MAKEFLAGS": ""}, capture_output=True, text=True, check=True).stdout
    return [" ".join(line.split()) for line in plan.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("target", ["release", "quality"])
def test_with_shards_make_runs_the_commands_it_runs_without(target: str) -> None:
    """Those of generate, expand and evaluate once for each shard, then a seal of what they wrote."""
    stage = re.compile(r".*python -m lengthen\.(generate|expand|evaluate) .*--output (\S+)")
    before, after = planned(target), planned(target, "SHARDS=3")
    expected = []
    for command in before:
        if match := stage.match(command):
            expected += [f"LENGTHEN_PROGRESS=lines .venv/bin/python stages/own_devices.py {index}/3 {command}" for index in range(3)]
            expected.append(f".venv/bin/python -m lengthen.common.dataset seal {match[2]}")
        else:
            expected.append(command)
    assert [command for command in after if not command.startswith("OUTPUT=")] == expected
    assert len(expected) > len(before) > 4


def test_make_refuses_a_wrong_number_of_shards() -> None:
    process = started("help", "SHARDS=0")
    assert "SHARDS must be a number from 1 on" in process.communicate(timeout=30)[1]
    assert process.returncode == 2


@pytest.fixture
def gpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_is_cpu_build", lambda: False)


@pytest.mark.parametrize(("index", "count", "each", "own"), [(0, 4, 1, "4"), (3, 4, 1, "7"), (1, 2, 2, "6,7"), (0, 2, 1, "4")])
def test_each_shard_has_gpus_of_its_own(
    monkeypatch: pytest.MonkeyPatch, gpu_build: None, index: int, count: int, each: int, own: str
) -> None:
    """Of those that the user allows."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5, 6,7")
    devices.use_own_devices(index, count, each)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == own


def test_more_shards_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch, gpu_build: None) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    with pytest.raises(UserError, match=r"^3 shards side by side need 6 GPUs \(2 for each\), but there are 4; give SHARDS=2$"):
        devices.use_own_devices(0, 3, 2)


def test_gpus_are_counted_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu_build: None) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(devices, "_DRIVER", tmp_path / "gpus")
    assert devices.visible_gpus() == []
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    assert devices.visible_gpus() == ["0"]
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        '#!/bin/sh\necho "GPU 0: NVIDIA H100 (UUID: GPU-1)"\necho "  MIG 1g: (UUID: MIG-1)"\necho "GPU 1: NVIDIA H100 (UUID: GPU-2)"\n'
    )
    tool.chmod(0o755)
    assert devices.visible_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert devices.visible_gpus() == []


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_shards_on_a_cpu_share_no_core(count: int) -> None:
    cores = [0, 1, 2, 3, 8, 9, 10, 11]
    parts = [devices.cores_of(index, count, cores, len(cores)) for index in range(count)]
    assert [core for part in parts for core in part] == cores
    assert {len(part) for part in parts} <= {8 // count, 8 // count + 1}
    assert all(len(devices.cores_of(index, 2, cores, 4)) == 2 for index in range(2))  # a quota of 4 cores for both


def test_a_shard_on_a_cpu_runs_on_its_cores_only(monkeypatch: pytest.MonkeyPatch) -> None:
    own: set[int] = set()
    monkeypatch.setattr(devices, "visible_gpus", list)
    monkeypatch.setattr(devices, "available_cores", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {4, 5, 6, 7})
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: own.update(cores))
    devices.use_own_devices(1, 2, 1)
    assert own == {6, 7}


def test_a_shard_takes_its_devices_only_beside_others_on_one_machine(tmp_path: Path, config: Path) -> None:
    """In a pod a stage is not run by this program, and the number of shards says nothing about the pod's devices."""
    write(tmp_path / "in", INSTRUCTIONS, [instruction_row(number, f"Write about subject {number}.") for number in range(4)])
    arguments = [str(one) for one in ("--config", config, "--input", tmp_path / "in", "--output", tmp_path / "out", "--dry-run")]
    assert "generate 0/9999 would write" in succeed("generate", *arguments, "--shard", "0/9999").stderr

    def beside(*more: str) -> tuple[int, str]:
        command = [sys.executable, "stages/own_devices.py", "0/9999", sys.executable, "-m", "lengthen.generate", *arguments, *more]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    code, stderr = beside()
    assert code == 2
    assert stderr.startswith("error: 9999 shards side by side need 9999 cores, but there")
    assert len(stderr.splitlines()) == 1
    code, stderr = beside("--engine", "echo")
    assert code == 0
    assert "generate 0/9999 would write" in stderr
