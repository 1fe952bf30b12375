"""Trainings for tests: rows of mixed lengths, a config, and a stage process of its own."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import tiny
from conftest import expansion_row, write
from lengthen.common.tables.definitions import EXPANSIONS


def text(words: int, dice: random.Random) -> str:
    return " ".join(dice.choice(tiny.WORDS) for _ in range(words)).capitalize() + "."


def expansions(folder: Path, count: int = 11) -> Path:
    """Rows of 20 to 120 words."""
    dice = random.Random(1)
    rows = [expansion_row(n, text(10, dice), text(dice.randint(20, 120), dice)) for n in range(count)]
    return write(folder, EXPANSIONS, rows)


def config(folder: Path, model: Path, **finetune: Any) -> Path:
    settings = {"length_biased_selection": False, "train_batch_size": 4, "num_train_epochs": 2, "learning_rate": 1e-3, **finetune}
    settings["runtime"] = {"deepspeed": "zero2", "gradient_checkpointing": False, **finetune.get("runtime", {})}
    return tiny.write_config(folder / "config.yaml", model, finetune=settings)


def command(config: Path, data: Path, output: Path, *more: object) -> list[str]:
    return [sys.executable, "-m", "lengthen.finetune", *arguments(config, data, output, *more)]


def arguments(config: Path, data: Path, output: Path, *more: object) -> list[str]:
    fixed = ["--config", config, "--input", data, "--output", output, "--role", "generator"]
    return [str(argument) for argument in (*fixed, *more)]


def train(config: Path, data: Path, output: Path, *more: object) -> str:
    """Train in a process of its own, as a user does; returns what it said."""
    done = subprocess.run(command(config, data, output, *more), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def losses(output: Path) -> list[float]:
    """Of each step."""
    return [row["loss"] for row in pq.read_table(output / ".train_log" / "part-00000.parquet").to_pylist() if row["step"]]


def gradient_norms(output: Path) -> list[float]:
    """Of each step, before clipping."""
    return [row["grad_norm"] for row in pq.read_table(output / ".train_log" / "part-00000.parquet").to_pylist() if row["step"]]


def into(command: list[str], output: Path) -> list[str]:
    option = command.index("--output")
    return [*command[: option + 1], str(output), *command[option + 2 :]]


def run_until_step(command: list[str], step: int, wait: float, number: int) -> tuple[int, str, int]:
    """Start, send a signal some time after a step was reached; returns exit code, what was said, and the last step said."""
    stage = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert stage.stderr is not None
    said = ""
    for line in stage.stderr:
        said += line
        if (found := re.match(r"step (\d+)/", line)) and int(found[1]) >= step:
            break
    time.sleep(wait)
    stage.send_signal(number)
    said += stage.communicate(timeout=60)[1]
    return stage.returncode, said, max([0, *map(int, re.findall(r"^step (\d+)/", said, re.MULTILINE))])
