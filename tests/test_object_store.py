"""Datasets in an object store: an S3-compatible server (moto) on loopback, conditional puts, leases."""

from __future__ import annotations

import hashlib
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import tiny
from click.testing import CliRunner
from conftest import expansion_row, instruction_row, refused, rows, run, succeed, write, write_fake_adapter
from lengthen.common.config.engine import Store
from lengthen.common.model.adapter import open_adapter
from lengthen.common.process.errors import TransientError, UserError
from lengthen.common.store.commit import Outcome
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.object_lock import ObjectLock
from lengthen.common.store.object_path import ObjectPath
from lengthen.common.store.origin import Origin
from lengthen.common.store.paths import parse_folder
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import EXPANSIONS, INSTRUCTIONS

BUCKET = "long-texts"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 server with one bucket; its address and keys in the environment, as for any S3 client."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    environment = {
        "AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "no secret", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        while not _answers(port):
            assert server.poll() is None, "the S3 server did not start"
            time.sleep(0.1)
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"
    server.terminate()
    server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def folder(bucket: str) -> ObjectPath:
    return ObjectPath.parse(f"{bucket}/{uuid4().hex}")


@pytest.fixture(scope="module")
def uninterrupted_run(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A run on disk that was not interrupted: instructions, responses and expansions."""
    run_folder = tmp_path_factory.mktemp("objects")
    tiny.write_config(
        run_folder / "config.yaml",
        model,
        echo={"words": 40, "loop_share": 0.2, "latency_seconds": 0.01},
        engine={"rows_in_flight": 4},
        store={"flush_seconds": 0.1, "flush_rows": 5},
    )
    write(run_folder / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write an essay about subject {n}.") for n in range(20)])
    for stage in ("generate", "expand"):
        succeed(stage, *command(run_folder, stage, run_folder))
    return run_folder


def command(run_folder: Path, stage: str, output: Path | ObjectPath) -> list[str]:
    source, target = {"generate": ("instructions", "responses"), "expand": ("responses", "expansions")}[stage]
    source_folder = run_folder if stage == "generate" else output
    return [
        "--config",
        f"{run_folder}/config.yaml",
        "--engine",
        "echo",
        "--input",
        f"{source_folder}/{source}",
        "--output",
        f"{output}/{target}",
    ]


def parts(folder: Path | ObjectPath) -> dict[str, bytes]:
    manifest = read_manifest(folder)
    assert manifest is not None
    return {part.path: (folder / part.path).read_bytes() for part in manifest.parts + manifest.rejected_parts}


def all_paths(folder: ObjectPath) -> list[str]:
    return sorted(item["path"] for page in folder.store.list(f"{folder.key}/") for item in page)


def writer(folder: ObjectPath, lease: float = 60.0) -> DatasetWriter:
    return DatasetWriter(folder, INSTRUCTIONS, Origin({"test": 1}), Store(lease_seconds=lease))


def test_stages_write_the_same_bytes_to_a_bucket_and_to_a_disk(uninterrupted_run: Path, folder: ObjectPath) -> None:
    for stage, target in (("generate", "responses"), ("expand", "expansions")):
        succeed(stage, *command(uninterrupted_run, stage, folder))
        assert parts(folder / target) == parts(uninterrupted_run / target)
        assert "already complete" in succeed(stage, *command(uninterrupted_run, stage, folder)).stderr
        assert not [name for name in all_paths(folder) if "/.work/" in name]
    from lengthen.common.dataset.__main__ import main

    shown = CliRunner().invoke(main, ["show", f"{folder}/expansions"]).output
    assert f"input.responses: {folder}/responses (responses," in shown
    assert "as the manifest says" in CliRunner().invoke(main, ["verify", f"{folder}/expansions"]).output


def test_a_stage_killed_at_random_moments_writes_the_same_bytes_to_a_bucket(uninterrupted_run: Path, folder: ObjectPath) -> None:
    rng, kills = random.Random(5), 0
    arguments = [
        sys.executable,
        "-m",
        "lengthen.generate",
        *command(uninterrupted_run, "generate", folder),
        "--set",
        "echo.latency_seconds=0.1",
    ]
    while read_manifest(folder / "responses") is None:
        process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
        try:
            process.wait(timeout=rng.uniform(0.8, 2.0) if kills < 6 else 120)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors
    assert parts(folder / "responses") == parts(uninterrupted_run / "responses")
    manifest = read_manifest(folder / "responses")
    assert manifest is not None and kills and manifest.timings["runs"] > 1


def test_sealed_shards_in_a_bucket_equal_the_unsharded_dataset(uninterrupted_run: Path, folder: ObjectPath) -> None:
    from lengthen.common.dataset.__main__ import main

    for index in range(2):
        succeed("generate", *command(uninterrupted_run, "generate", folder), "--shard", f"{index}/2")
    assert "has shards" in refused("generate", *command(uninterrupted_run, "generate", folder))
    sealed = CliRunner().invoke(main, ["seal", f"{folder}/responses"])
    assert sealed.exit_code == 0, sealed.output
    assert rows(folder / "responses", "responses") == rows(uninterrupted_run / "responses", "responses")


def test_a_second_writer_in_a_bucket_is_refused(folder: ObjectPath) -> None:
    with writer(folder) as first:
        with pytest.raises(TransientError, match=r"is being written by process \d+ on"):
            writer(folder).__enter__()
        first.add(instruction_row(1, "Write an essay."))
        first.commit(Outcome(1))
    assert len(list(open_dataset(folder, INSTRUCTIONS).rows())) == 1


def test_a_writer_frozen_longer_than_its_lease_cannot_commit_to_a_bucket(folder: ObjectPath) -> None:
    frozen = writer(folder, lease=0.5).__enter__()
    frozen.add(instruction_row(1, "Written by the frozen writer."))
    frozen._lock._ended.set()  # type: ignore[attr-defined]  # the heartbeat stops, as after SIGSTOP
    time.sleep(2.1)  # the server's times have a resolution of one second
    with writer(folder, lease=0.5) as successor:
        for attempt in (frozen.flush, lambda: frozen.commit(Outcome(1))):
            with pytest.raises(TransientError, match="took over this dataset"):
                attempt()
        successor.add(instruction_row(2, "Written by the successor."))
        successor.commit(Outcome(1))
    assert [row["instruction"] for row in open_dataset(folder, INSTRUCTIONS).rows()] == ["Written by the successor."]


def test_only_one_of_two_writers_can_take_over_a_stale_lock_in_a_bucket(folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = ObjectLock(folder, 0.2)
    stale.acquire()
    stale._ended.set()
    first, second = ObjectLock(folder, 60.0), ObjectLock(folder, 60.0)
    monkeypatch.setattr(ObjectLock, "_now", lambda self: time.time() + 1000)  # the lease has expired
    renew = second._renew

    def after_the_first(mode: Any) -> bool:
        if mode != "create":  # both have seen the same stale lock, and the first one takes it over earlier
            first.acquire()
            monkeypatch.undo()
        return renew(mode)

    monkeypatch.setattr(second, "_renew", after_the_first)
    with pytest.raises(TransientError, match="is being written"):
        second.acquire()
    first.check()
    first.release()


def test_a_manifest_is_created_once(folder: ObjectPath) -> None:
    assert (folder / ".manifest.json").create(b"one") and not (folder / ".manifest.json").create(b"two")
    assert (folder / ".manifest.json").read_bytes() == b"one"


def test_parts_that_the_manifest_does_not_list_are_refused(uninterrupted_run: Path, folder: ObjectPath) -> None:
    succeed("generate", *command(uninterrupted_run, "generate", folder))
    (folder / "responses" / "part-00009.parquet").create(b"late")
    assert "part-00009.parquet is not in the manifest" in refused("expand", *command(uninterrupted_run, "expand", folder))


def test_an_adapter_in_a_bucket_is_read_from_a_verified_local_copy(
    folder: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lengthen.common.store import files

    monkeypatch.setattr(files, "CACHE", tmp_path)
    monkeypatch.setattr("lengthen.common.model.adapter.CACHE", tmp_path)
    write_fake_adapter(folder)
    adapter = open_adapter(folder, None)
    assert (adapter.path / "adapter_model.safetensors").read_bytes() == b"weights" and adapter.sha256 == hashlib.sha256(
        b"weights"
    ).hexdigest()
    assert open_adapter(folder, None) == adapter


def test_an_invalid_object_store_url_is_refused() -> None:
    for text in ("ftp://somewhere/x", "s3://", "s3://bucket/../other"):
        with pytest.raises(UserError, match="is not a valid object store URL"):
            parse_folder(text)


def test_a_missing_bucket_exits_with_2_and_an_unreachable_server_with_75(
    uninterrupted_run: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = command(uninterrupted_run, "generate", ObjectPath.parse("s3://no-such-bucket/run"))
    assert "no-such-bucket" in refused("generate", *arguments)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    result = run("generate", *command(uninterrupted_run, "generate", ObjectPath.parse("s3://another/run")))
    assert result.exit_code == 75 and "s3://another/run" in result.stderr, result.output


@pytest.mark.engine
def test_training_writes_its_adapter_to_a_bucket(folder: ObjectPath, tmp_path: Path, model: Path) -> None:
    config = tiny.write_config(tmp_path / "config.yaml", model)
    text = " ".join(f"river{n} stone{n} keeps." for n in range(20))
    write(folder / "expansions", EXPANSIONS, [expansion_row(n, text[:60], text) for n in range(4)])
    arguments = ["--config", config, "--input", folder / "expansions", "--output", folder / "generator", "--role", "generator"]
    succeed("finetune", *arguments)
    assert open_adapter(folder / "generator", None).path.is_dir()
    assert "already complete" in succeed("finetune", *arguments).stderr
    instructions = write(tmp_path / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write about subject {n}.") for n in range(2)])
    more = ["--adapter", folder / "generator", "--engine", "echo"]
    succeed("generate", "--config", config, "--input", instructions, "--output", folder / "responses", *more)
