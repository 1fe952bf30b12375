"""A training that is stopped or killed resumes exactly where it was: same batches, same losses, same adapter."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import trainings

KILLS = int(os.environ.get("LENGTHEN_TRAINING_KILLS", "1"))  # of each signal; .ci/run and `make torture` ask for more

pytestmark = [pytest.mark.engine, pytest.mark.ci]


@pytest.fixture(scope="module")
def uninterrupted_run(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[list[str], Path]:
    """A stage's command without its output, and the adapter of an undisturbed run. With dropout: random numbers count too."""
    folder = tmp_path_factory.mktemp("resume")
    epochs = 4 + 3 * KILLS  # of 7 steps: a pair of signals comes after 10 on average, and has to come before the end
    config = trainings.config(
        folder, model, num_train_epochs=epochs, train_batch_size=3, lora={"lora_dropout": 0.1}, runtime={"save_steps": 3}
    )
    command = trainings.command(config, trainings.expansions(folder / "data", 20), folder / "undisturbed")
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return command, folder / "undisturbed"


def log(output: Path) -> list[dict[str, Any]]:
    """The rows of train_log without measured times."""
    rows = pq.read_table(output / ".train_log" / "part-00000.parquet").to_pylist()
    return [{name: value for name, value in row.items() if name != "tokens_per_second"} for row in rows]


def weights(output: Path) -> bytes:
    return (output / ".adapter" / "adapter_model.safetensors").read_bytes()


def test_killed_at_random_steps_it_makes_the_same_adapter(uninterrupted_run: tuple[list[str], Path], tmp_path: Path) -> None:
    command, undisturbed = uninterrupted_run
    again, rng = trainings.into(command, tmp_path / "again"), random.Random(time.time_ns())
    signals = [signal.SIGKILL, signal.SIGTERM] * KILLS
    rng.shuffle(signals)
    reached, story = 0, []
    for number in signals:
        code, said, last = trainings.run_until_step(again, reached + rng.randint(1, 4), rng.uniform(0, 0.3), number)
        kept = sorted(path.name for path in (tmp_path / "again" / ".work" / "checkpoints").glob("step-*"))
        story.append((number.name, last, kept))
        assert code == (143 if number == signal.SIGTERM else -9), (story, said)
        assert len(kept) <= 2 + (number == signal.SIGKILL), story  # a kill may come before the oldest is removed
        if number == signal.SIGTERM:
            assert kept[-1] == f"step-{last:06d}", (story, said)
        reached = int(kept[-1].removeprefix("step-")) if kept else 0
    finished = subprocess.run(again, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, (story, finished.stderr)
    assert f"resumes after step {reached} " in finished.stderr, story
    assert log(tmp_path / "again") == log(undisturbed), story
    assert weights(tmp_path / "again") == weights(undisturbed), story
    assert not (tmp_path / "again" / ".work").exists()


def test_damaged_checkpoints_are_not_used_and_a_finished_training_is_not_repeated(
    uninterrupted_run: tuple[list[str], Path], tmp_path: Path
) -> None:
    command, undisturbed = uninterrupted_run
    output = tmp_path / "again"
    again = trainings.into(command, output)
    trainings.run_until_step(again, 8, 0.0, signal.SIGTERM)
    older, newer = sorted((output / ".work" / "checkpoints").glob("step-*"))
    content = (newer / "state.safetensors").read_bytes()
    (newer / "state.safetensors").write_bytes(content[:-4] + bytes(4 * [255]))
    # Killed between the end of the training and the commit: the stage is ended as soon as the adapter is there.
    stage = subprocess.Popen(again, stderr=subprocess.PIPE, text=True)
    while not (output / ".work" / "checkpoints" / "trained").exists():
        assert stage.poll() is None
        time.sleep(0.005)
    stage.kill()
    assert stage.stderr is not None
    said = stage.stderr.read()
    stage.wait()
    assert f"WARNING: checkpoint {newer} is not used: state.safetensors is damaged" in said
    assert f"resumes after step {int(older.name.removeprefix('step-'))} " in said
    if (output / ".manifest.json").exists():
        pytest.fail("the kill came too late to show anything")
    finished = subprocess.run(again, capture_output=True, text=True, timeout=300, check=True).stderr
    assert not re.search(r"^step ", finished, re.MULTILINE)
    assert weights(output) == weights(undisturbed) and log(output) == log(undisturbed)


def test_the_output_holds_safetensors_and_no_pickle(uninterrupted_run: tuple[list[str], Path]) -> None:
    files = sorted(str(path.relative_to(uninterrupted_run[1])) for path in uninterrupted_run[1].rglob("*") if path.is_file())
    assert [name for name in files if not name.startswith("part-")] == [
        ".adapter/adapter_config.json",
        ".adapter/adapter_model.safetensors",
        ".manifest.json",
        ".train_log/part-00000.parquet",
    ]
    settings = json.loads((uninterrupted_run[1] / ".adapter" / "adapter_config.json").read_text())
    assert settings["lora_dropout"] == 0.1 and settings["target_modules"] == sorted(settings["target_modules"])
