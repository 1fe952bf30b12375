"""Datasets stay correct after kills at random moments, with two writers, a frozen writer, shards, corrupt files and a full disk."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import expansion_row, instruction_row, refused, rows, run, succeed, write
from lengthen.augment.figures import FIGURES as AUGMENT_FIGURES
from lengthen.common.config.engine import Store
from lengthen.common.method.selection import left_out
from lengthen.common.process.errors import TransientError
from lengthen.common.store.commit import Outcome
from lengthen.common.store.folder_lock import FolderLock
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.origin import Origin
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import EXPANSIONS, INSTRUCTIONS

KILLS = int(os.environ.get("LENGTHEN_KILLS", "12"))  # kills for each stage; TIER=ci and `make torture` set more


@pytest.fixture(scope="module")
def uninterrupted_run(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A config with a small latency and frequent flushes, instructions, and responses and expansions of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("survival")
    config = tiny.write_config(
        folder / "config.yaml",
        model,
        echo={"words": 40, "loop_share": 0.2, "cut_share": 0.1, "latency_seconds": 0.01},
        engine={"rows_in_flight": 4},
        store={"flush_seconds": 0.1, "flush_rows": 5},
        generate={"responses": 3},
    )
    write(folder / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write an essay about subject {n}.") for n in range(20)])
    for stage in ("generate", "expand"):
        succeed(stage, *command(folder, config, stage, folder))
    return folder


def command(folder: Path, config: Path, stage: str, output: Path) -> list[str]:
    source, target = {"generate": ("instructions", "responses"), "expand": ("responses", "expansions")}[stage]
    return ["--config", str(config), "--engine", "echo", "--input", str(folder / source), "--output", str(output / target)]


def start(stage: str, arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", f"lengthen.{stage}", *arguments], stderr=subprocess.PIPE, text=True)


def without_times(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / ".manifest.json").read_text())
    return {key: value for key, value in manifest.items() if key not in ("timings", "environment", "lineage")}


def parts(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("part-*.parquet"))}


@pytest.mark.parametrize("stage", ["generate", "expand"])
def test_a_stage_killed_at_random_moments_writes_the_same_bytes(uninterrupted_run: Path, tmp_path: Path, stage: str) -> None:
    """Repeat SIGKILL and resume until the dataset is complete. Meanwhile a reader never sees an incomplete dataset."""
    target = {"generate": "responses", "expand": "expansions"}[stage]
    rng, seen, ended, folders = random.Random(7), set(), threading.Event(), [tmp_path / "0"]

    def look() -> None:
        while not ended.wait(0.005):
            folder = folders[-1] / target
            if read_manifest(folder):
                seen.add(sum(1 for _ in open_dataset(folder, tables(target)).rows()))

    def run_until_killed(at_work: bool, seconds: float) -> int:
        """Kill the stage some seconds after it has acquired the lock (`at_work`) or after its start."""
        process = start(stage, command(uninterrupted_run, uninterrupted_run / "config.yaml", stage, folders[-1]))
        while at_work and process.poll() is None and lock_owner(folders[-1] / target) != process.pid:
            time.sleep(0.005)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors
        return process.returncode

    reader = threading.Thread(target=look)
    reader.start()
    try:
        kills = 0
        while kills < KILLS or not (folders[-1] / target / ".manifest.json").exists():
            code = run_until_killed(rng.random() < 0.8, rng.uniform(0, 0.8)) if kills < KILLS else run_until_killed(False, 120)
            kills += code != 0
            if code == 0:  # complete: compare, then continue in another folder
                assert parts(folders[-1] / target) == parts(uninterrupted_run / target)
                assert without_times(folders[-1] / target) == without_times(uninterrupted_run / target)
                if kills < KILLS:
                    folders.append(tmp_path / str(len(folders)))
    finally:
        ended.set()
        reader.join()
    assert parts(folders[-1] / target) == parts(uninterrupted_run / target)
    assert seen <= {len(rows(uninterrupted_run / target, target))}


def lock_owner(folder: Path) -> int | None:
    """The id of the process that holds a dataset's lock."""
    try:
        return int(json.loads((folder / ".work" / "lock" / "holder.json").read_text())["pid"])
    except FileNotFoundError:
        return None


def tables(name: str) -> Any:
    from lengthen.common.tables.definitions import TABLES

    return TABLES[name]


def test_a_resumed_stage_does_not_repeat_an_engine_call_in_the_journal(
    uninterrupted_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engine calls: those in the journal before the kill and those after it are together the calls of an uninterrupted run.

    Which attempts begin ahead depends on the moment: tests/test_attempts.py tests these.
    """
    from lengthen.common.engine import echo

    requested: list[int] = []
    complete = echo.EchoEngine.complete

    async def counting(self: Any, prompt: Any, sampling: Any, **rest: Any) -> Any:
        requested.append(sampling.seed)
        return await complete(self, prompt, sampling, **rest)

    monkeypatch.setattr(echo.EchoEngine, "complete", counting)
    patient = ["--set", "engine.attempts_ahead=false"]
    whole, killed = (
        [*command(uninterrupted_run, uninterrupted_run / "config.yaml", "expand", tmp_path / name), *patient]
        for name in ("whole", "killed")
    )
    succeed("expand", *whole)
    all_calls = sorted(requested)
    process = start("expand", killed)
    journal = tmp_path / "killed" / "expansions" / ".work"
    while len(list(journal.glob("calls-*.parquet"))) < 4:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    journalled = set(_call_seeds(journal))
    assert journalled
    requested.clear()
    succeed("expand", *killed)
    assert len(requested) == len(set(requested))
    assert sorted([*requested, *journalled]) == all_calls
    manifest = read_manifest(tmp_path / "killed" / "expansions")
    assert manifest is not None and manifest.timings["runs"] == 2 and manifest.timings["tokens_lost"] >= 0


def _call_seeds(journal: Path) -> list[int]:
    import pyarrow.parquet as pq
    from lengthen.common.method.ids import attempt_seed

    found = [row for path in journal.glob("calls-*.parquet") for row in pq.read_table(path).to_pylist()]
    return [attempt_seed(0, row["id"], row["call"]) for row in found]


def writer(folder: Path, lease: float = 60.0, overwrite: bool = False) -> DatasetWriter:
    return DatasetWriter(folder, INSTRUCTIONS, Origin({"test": 1}), Store(lease_seconds=lease), overwrite)


def test_a_second_writer_is_refused_and_the_error_names_the_first(uninterrupted_run: Path, tmp_path: Path) -> None:
    with writer(tmp_path / "d") as first:
        with pytest.raises(TransientError, match=f"is being written by process {os.getpid()} on"):
            writer(tmp_path / "d").__enter__()
        first.add(instruction_row(1, "Write an essay."))
        first.commit(Outcome(1))
    slow = [*command(uninterrupted_run, uninterrupted_run / "config.yaml", "generate", tmp_path), "--set", "echo.latency_seconds=0.3"]
    running = start("generate", slow)
    while not (tmp_path / "responses" / ".work" / "lock" / "holder.json").exists():
        time.sleep(0.02)
    second = run("generate", *slow)
    assert second.exit_code == 75 and f"process {running.pid} on" in second.stderr
    running.kill()
    running.communicate()


def test_a_frozen_writer_that_continues_cannot_overwrite_its_successor(tmp_path: Path) -> None:
    frozen = writer(tmp_path / "d", lease=0.5).__enter__()
    frozen.add(instruction_row(1, "Written by the frozen writer."))
    frozen._lock._ended.set()  # the heartbeat stops, as after SIGSTOP
    os.utime(frozen._lock.scratch, (time.time() - 10, time.time() - 10))
    with writer(tmp_path / "d", lease=0.5) as successor:
        with pytest.raises(TransientError, match="took over this dataset"):
            frozen.flush()
        with pytest.raises(TransientError, match="took over this dataset"):
            frozen.commit(Outcome(1))
        successor.add(instruction_row(2, "Written by the successor."))
        successor.commit(Outcome(1))
    with pytest.raises(TransientError):
        frozen.commit(Outcome(1))
    assert [row["instruction"] for row in rows(tmp_path / "d", "instructions")] == ["Written by the successor."]


def test_a_row_that_was_journalled_twice_counts_once(tmp_path: Path) -> None:
    """As after a writer that was taken over just when it had journalled a row."""
    row = instruction_row(1, "Write an essay.") | {"tokens": 7, "attempts": 2}
    with writer(tmp_path / "d") as one:
        one.add(row)
        one.flush()
        one.add(row)
        manifest = one.commit(Outcome(1, figures=AUGMENT_FIGURES))
    assert (manifest.rows_out, manifest.tokens, manifest.summary["attempts"]) == (1, 7, {"2": 1})


def test_only_one_of_many_writers_that_take_over_a_stale_lock_can_write(tmp_path: Path) -> None:
    """All have seen the stopped writer's lock before the first one moves it. Others that acquired it too cannot write."""
    for trial in range(20):
        folder = tmp_path / str(trial)
        stale = FolderLock(folder, 0.1)
        stale.acquire()
        stale._ended.set()
        stale._heartbeat.join()
        os.utime(stale.scratch, (0, 0))
        locks = [FolderLock(folder, 60.0) for _ in range(6)]
        barrier = threading.Barrier(len(locks))
        written: list[str] = []

        def take(lock: FolderLock, barrier: threading.Barrier = barrier, written: list[str] = written) -> None:
            move_away, seen = lock._move_away, []

            def once_all_have_seen_the_lock(token: str) -> None:
                if not seen:
                    seen.append(barrier.wait())
                move_away(token)

            lock._move_away = once_all_have_seen_the_lock  # type: ignore[method-assign]
            try:
                lock.acquire()
                barrier.wait()  # all have acquired the lock or been refused
                with lock.placing(lock.work / f"row-{lock.token}") as file:
                    file.write_text("a row")
                written.append(lock.token)
            except TransientError:
                if not lock._heartbeat.is_alive():
                    barrier.wait()

        threads = [threading.Thread(target=take, args=(lock,)) for lock in locks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(written) == 1
        with pytest.raises(TransientError):
            stale.check()
        for lock in locks:
            lock._ended.set()


def test_a_stage_stopped_longer_than_its_lease_exits_with_75_and_changes_nothing(uninterrupted_run: Path, tmp_path: Path) -> None:
    arguments = [*command(uninterrupted_run, uninterrupted_run / "config.yaml", "generate", tmp_path), "--set", "store.lease_seconds=0.5"]
    frozen = start("generate", [*arguments, "--set", "echo.latency_seconds=0.1"])
    while not list((tmp_path / "responses" / ".work").glob("responses-*.parquet")):
        time.sleep(0.02)
    frozen.send_signal(signal.SIGSTOP)
    time.sleep(1.0)
    # The process is alive; only the missing heartbeat shows that it is frozen. The latency is part of the fingerprint, so the
    # successor gets the same one.
    succeed("generate", *arguments, "--set", "echo.latency_seconds=0.1")
    before = parts(tmp_path / "responses")
    frozen.send_signal(signal.SIGCONT)
    _, errors = frozen.communicate(timeout=60)
    assert frozen.returncode == 75, errors
    assert parts(tmp_path / "responses") == before
    assert read_manifest(tmp_path / "responses") is not None


def test_the_lock_of_a_killed_process_can_be_taken_over_immediately(uninterrupted_run: Path, tmp_path: Path) -> None:
    arguments = command(uninterrupted_run, uninterrupted_run / "config.yaml", "generate", tmp_path)
    process = start("generate", [*arguments, "--set", "store.lease_seconds=3600"])
    while not (tmp_path / "responses" / ".work" / "lock" / "holder.json").exists():
        time.sleep(0.02)
    process.kill()
    process.communicate()
    succeed("generate", *arguments, "--set", "store.lease_seconds=3600")


def test_four_sealed_shards_equal_the_unsharded_dataset(uninterrupted_run: Path, tmp_path: Path) -> None:
    from lengthen.common.dataset.__main__ import main

    config = uninterrupted_run / "config.yaml"
    for stage, target in (("generate", "responses"), ("expand", "expansions")):
        for index in range(4):
            source = tmp_path if stage == "expand" else uninterrupted_run
            succeed(stage, *command(source, config, stage, tmp_path), "--shard", f"{index}/4")
        assert "sealed" in run_dataset(main, "seal", tmp_path / target)
        unsharded, sealed = without_times(uninterrupted_run / target), without_times(tmp_path / target)
        for key in ("content_digest", "rows_in", "rows_out", "rejected", "fingerprint", "tokens"):
            assert unsharded[key] == sealed[key], key
        assert rows(tmp_path / target, target) == rows(uninterrupted_run / target, target)
        column = {"responses": "words", "expansions": "expansion_words"}[target]
        unused = [
            left_out([open_dataset(folder / target, tables(target))], target[:-1], column, 0, length_biased=True, max_similarity=0.8)
            for folder in (tmp_path, uninterrupted_run)
        ]
        assert unused[0] == unused[1] and unused[0]
        assert "as the manifest says" in run_dataset(main, "verify", tmp_path / target)
        assert "already complete" in succeed(stage, *command(source, config, stage, tmp_path)).stderr


def run_dataset(main: Any, *arguments: object) -> str:
    from click.testing import CliRunner

    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_a_missing_shard_or_a_shard_with_other_settings_is_refused(uninterrupted_run: Path, tmp_path: Path) -> None:
    from lengthen.common.dataset.__main__ import main

    arguments = command(uninterrupted_run, uninterrupted_run / "config.yaml", "generate", tmp_path)
    assert "has no shards" in run_dataset(main, "seal", uninterrupted_run / "instructions" / "nothing")
    succeed("generate", *arguments, "--shard", "0/2")
    assert "shard-1-of-2 is not complete" in run_dataset(main, "seal", tmp_path / "responses")
    line = refused("expand", *command(tmp_path, uninterrupted_run / "config.yaml", "expand", tmp_path))
    assert "no .manifest.json" in line
    assert "has shards" in refused("generate", *arguments)
    succeed("generate", *arguments, "--shard", "1/2", "--set", "generate.attempts=5")
    assert "generate.attempts: 4 -> 5" in run_dataset(main, "seal", tmp_path / "responses")
    shutil.rmtree(tmp_path / "responses" / "shard-1-of-2")
    succeed("generate", *arguments, "--shard", "1/3")
    assert "different counts (2, 3)" in run_dataset(main, "seal", tmp_path / "responses")
    assert "--shard '3/3'" in refused("generate", *arguments, "--shard", "3/3")


def test_a_killed_augment_resumes_and_writes_the_same_bytes(tmp_path: Path, model: Path) -> None:
    config = tiny.write_config(
        tmp_path / "c.yaml", model, augment={"instructions": 30}, engine={"rows_in_flight": 2}, store={"flush_seconds": 0.1}
    )
    arguments = ["--config", str(config), "--engine", "echo", "--set", "echo.latency_seconds=0.05"]
    succeed("augment", *arguments, "--output", tmp_path / "whole")
    process = start("augment", [*arguments, "--output", str(tmp_path / "killed")])
    while len(list((tmp_path / "killed" / ".work").glob("calls-*.parquet"))) < 2:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    succeed("augment", *arguments, "--output", tmp_path / "killed")
    assert parts(tmp_path / "killed") == parts(tmp_path / "whole")


def test_a_full_disk_exits_with_75_without_a_manifest_and_the_next_run_completes(uninterrupted_run: Path, tmp_path: Path) -> None:
    """On a tmpfs of 300 kB in a separate mount namespace."""
    if os.geteuid():
        pytest.skip("NOT TESTED: a full disk; mounting a small tmpfs needs root")
    arguments = " ".join(command(uninterrupted_run, uninterrupted_run / "config.yaml", "expand", tmp_path / "small"))
    (tmp_path / "small").mkdir()
    script = f"""
    mount -t tmpfs -o size=300k none {tmp_path}/small || exit 90
    {sys.executable} -m lengthen.expand {arguments}; echo "first $?" >&2
    ls {tmp_path}/small/expansions/.manifest.json 2>/dev/null && exit 91
    mount -o remount,size=50m {tmp_path}/small
    {sys.executable} -m lengthen.expand {arguments}; echo "second $?" >&2
    """
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 90, "this test needs a mount namespace: run it as root"
    assert "first 75" in done.stderr and "second 0" in done.stderr, done.stderr
    assert "No space left on device" in done.stderr and "small" in done.stderr


def corruptions(content: bytes) -> dict[str, bytes]:
    offsets = range(0, len(content), max(1, len(content) // 40))
    flipped = {f"flip {at}": content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :] for at in offsets}
    cut = {f"cut {size}": content[:size] for size in offsets}
    return flipped | cut | {"not Parquet": b"id,instruction\n1,Write\n"}


def test_every_corrupt_file_is_refused_and_named(tmp_path: Path, config: Path) -> None:
    folder = write(tmp_path / "i", INSTRUCTIONS, [instruction_row(n, f"Write an essay about subject {n}.") for n in range(50)])
    part = next(folder.glob("part-*.parquet"))
    good = part.read_bytes()
    arguments = ("--config", config, "--engine", "echo", "--input", folder, "--output", tmp_path / "out")
    for bad in corruptions(good).values():
        part.write_bytes(bad)
        assert part.name in refused("generate", *arguments)
    part.unlink()
    assert part.name in refused("generate", *arguments)
    part.write_bytes(good)
    manifest = (folder / ".manifest.json").read_text()
    version = f'"version": {INSTRUCTIONS.version}'
    edits = [('"rows": 50', '"rows": 51'), (version, version + "9"), ('"format": 1', '"format": 9'), ('"path": "', '"path": "../')]
    for old, new in edits:
        assert old in manifest
        (folder / ".manifest.json").write_text(manifest.replace(old, new))
        refused("generate", *arguments)
    assert not (tmp_path / "out").exists()


def processes_with(mark: str) -> set[int]:
    """The ids of all running processes that have this mark in their environment."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes() and _state(folder) != "Z":
                found.add(int(folder.name))
        except OSError:
            continue
    return found


def _state(process: Path) -> str:
    return (process / "stat").read_text().rpartition(")")[2].split()[0]


def kill_after_line(command: list[str], line: str, at_least: int) -> None:
    """Start a stage and send SIGKILL after it has printed a line. All its child processes must end within 5 s."""
    mark = f"LENGTHEN_MARK={os.urandom(8).hex()}"
    environment = os.environ | dict([mark.split("=")])
    stage = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
    assert stage.stderr is not None
    while line not in stage.stderr.readline():
        assert stage.poll() is None
    assert len(processes_with(mark)) >= at_least
    stage.kill()
    stage.wait()
    deadline = time.monotonic() + 5
    while alive := processes_with(mark):
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


@pytest.mark.engine
@pytest.mark.ci
def test_no_training_process_outlives_its_killed_stage(tmp_path: Path, model: Path) -> None:
    config = tiny.write_config(tmp_path / "c.yaml", model, finetune={"num_train_epochs": 10_000})
    text = " ".join(f"river{n} keeps." for n in range(40))
    data = write(tmp_path / "expansions", EXPANSIONS, [expansion_row(n, text[:60], text) for n in range(4)])
    arguments = ["--config", str(config), "--input", str(data), "--output", str(tmp_path / "generator"), "--role", "generator"]
    kill_after_line([sys.executable, "-m", "lengthen.finetune", *arguments], "step 1/", at_least=3)  # the stage, torchrun, its worker


@pytest.mark.engine
def test_no_vllm_process_outlives_its_killed_stage(tmp_path: Path, model: Path) -> None:
    config = tiny.write_config(tmp_path / "c.yaml", model)
    data = write(tmp_path / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write about subject {n}.") for n in range(50)])
    arguments = ["--config", str(config), "--input", str(data), "--output", str(tmp_path / "responses")]
    kill_after_line([sys.executable, "-m", "lengthen.generate", *arguments], "engine vllm ready", at_least=1)
