"""Several ranks train as one: the same batches, the same loss, the same adapter, on one machine and on two."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tiny
import trainings
from conftest import rows, succeed
from lengthen.common.store.manifest import read_manifest
from lengthen.finetune import launch
from safetensors.numpy import load_file

pytestmark = [pytest.mark.engine, pytest.mark.ci]

# Adam divides by the root of a small second moment, which makes rounding of sums visible: 1e-7 becomes 1e-5.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Path]:
    """A folder with rows and the output of one rank in float32. 11 rows in steps of 4: one step of an epoch is smaller."""
    folder = tmp_path_factory.mktemp("ranks")
    config = trainings.config(folder, model, **SETTINGS)
    trainings.train(config, trainings.expansions(folder / "data"), folder / "one", "--set", "model.dtype=float32")
    return folder, config


SETTINGS: dict[str, Any] = {"epochs": 3, "learning_rate": 1e-2, "validation_share": 0.0, "lora": {"dropout": 0.1}}


def largest_difference(one: Path, other: Path) -> float:
    ours, theirs = (load_file(folder / ".adapter" / "adapter_model.safetensors") for folder in (one, other))
    assert ours.keys() == theirs.keys()
    return max(float(abs(ours[name] - theirs[name]).max()) for name in ours)


def test_the_loss_falls(workshop: tuple[Path, Path]) -> None:
    losses = trainings.losses(workshop[0] / "one")
    assert len(losses) == 9
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


@pytest.mark.parametrize("zero", ["zero2", "zero3"])
def test_two_ranks_make_the_adapter_of_one(workshop: tuple[Path, Path], zero: str) -> None:
    folder, config = workshop
    more = ("--set", "model.dtype=float32", "--set", "finetune.processes=2", "--set", f"finetune.deepspeed={zero}")
    trainings.train(config, folder / "data", folder / zero, *more)
    assert trainings.losses(folder / zero) == pytest.approx(trainings.losses(folder / "one"), rel=TOLERANCE)
    assert largest_difference(folder / "one", folder / zero) < TOLERANCE


def test_two_ranks_use_the_output_layer_equally_often(workshop: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with answers of unlike length go through it in unlike numbers of pieces; ZeRO-3 gathers it for each from all ranks."""
    folder, config = workshop
    monkeypatch.setattr(launch, "_PROGRAM", [str(Path(__file__).with_name("train_in_pieces.py"))])
    more = ("--set", "model.dtype=float32", "--set", "finetune.processes=2", "--set", "finetune.deepspeed=zero3")
    succeed("finetune", *trainings.arguments(config, folder / "data", folder / "pieces", *more))
    assert trainings.losses(folder / "pieces") == pytest.approx(trainings.losses(folder / "one"), rel=TOLERANCE)
    assert largest_difference(folder / "one", folder / "pieces") < TOLERANCE


def test_two_ranks_that_share_every_row_make_the_adapter_of_one(tmp_path: Path, model: Path) -> None:
    """DeepSpeed-Ulysses, on a model whose attention matters; 11 rows in pairs: some forward pass has a row less."""
    learner, data = tiny.build_learner(tmp_path / "model", model), trainings.expansions(tmp_path / "data")
    config = trainings.config(tmp_path, learner, **SETTINGS | {"epochs": 1, "rows_per_device": 2, "validation_share": 0.2, "lora": {}})
    trainings.train(config, data, tmp_path / "one", "--set", "model.dtype=float32")
    shared = ("finetune.processes=2", "finetune.sequence_parallel=2", "finetune.deepspeed=zero3", "finetune.gradient_checkpointing=true")
    more = [part for setting in ("model.dtype=float32", *shared) for part in ("--set", setting)]
    trainings.train(config, data, tmp_path / "shared", *more)
    assert trainings.losses(tmp_path / "shared") == pytest.approx(trainings.losses(tmp_path / "one"), rel=TOLERANCE)
    assert largest_difference(tmp_path / "one", tmp_path / "shared") < TOLERANCE
    ours, theirs = (rows(tmp_path / name, "adapters")[0]["eval_loss"] for name in ("one", "shared"))
    assert theirs == pytest.approx(ours, rel=TOLERANCE)
    before, shared_before = (read_manifest(tmp_path / name).summary["eval_loss_before"] for name in ("one", "shared"))
    assert shared_before == pytest.approx(before, rel=TOLERANCE) and ours < before


def test_two_ranks_that_were_stopped_go_on_exactly(workshop: tuple[Path, Path]) -> None:
    """With ZeRO-3; the kills of one rank have ZeRO-2. Compared with the adapter of the test above."""
    folder, config = workshop
    more = ("--set", "model.dtype=float32", "--set", "finetune.processes=2", "--set", "finetune.deepspeed=zero3")
    command = trainings.command(config, folder / "data", folder / "stopped", *more)
    code, said, _ = trainings.run_until_step(command, 4, 0.0, signal.SIGTERM)
    assert code == 143, said
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert largest_difference(folder / "zero3", folder / "stopped") == 0.0
    assert trainings.losses(folder / "zero3") == trainings.losses(folder / "stopped")


def test_two_machines_make_the_adapter_of_one(workshop: tuple[Path, Path]) -> None:
    """Two stage processes that meet by torchrun's variables; the second one writes nothing and ends with the truth too."""
    folder, config = workshop
    command = trainings.command(config, folder / "data", folder / "machines", "--set", "model.dtype=float32")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meet = {**os.environ, "PET_NNODES": "2", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port}
    second, first = (
        subprocess.Popen(command, env=meet | {"PET_NODE_RANK": rank}, stderr=subprocess.PIPE, text=True) for rank in ("1", "0")
    )
    said = [stage.communicate(timeout=300)[1] for stage in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert rows(folder / "machines", "adapters")[0]["steps"] == 9
    assert largest_difference(folder / "one", folder / "machines") < TOLERANCE
