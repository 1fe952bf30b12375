"""Helpers for training tests: rows of mixed lengths, a config, and the finetune stage in a separate process."""

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


def text(words: int, rng: random.Random) -> str:
    return " ".join(rng.choice(tiny.WORDS) for _ in range(words)).capitalize() + "."


def expansions(folder: Path, count: int = 11) -> Path:
    """Write expansions of 20 to 120 words."""
    rng = random.Random(1)
    rows = [expansion_row(n, text(10, rng), text(rng.randint(20, 120), rng)) for n in range(count)]
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
    """Train in a separate process; return its output."""
    done = subprocess.run(command(config, data, output, *more), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def losses(output: Path) -> list[float]:
    """The loss of each step."""
    return [row["loss"] for row in pq.read_table(output / ".train_log" / "part-00000.parquet").to_pylist() if row["step"]]


def gradient_norms(output: Path) -> list[float]:
    """The gradient norm of each step, before clipping."""
    return [row["grad_norm"] for row in pq.read_table(output / ".train_log" / "part-00000.parquet").to_pylist() if row["step"]]


def into(command: list[str], output: Path) -> list[str]:
    """The command with another output folder."""
    option = command.index("--output")
    return [*command[: option + 1], str(output), *command[option + 2 :]]


def run_until_step(command: list[str], step: int, wait: float, number: int) -> tuple[int, str, int]:
    """Start, wait for a step, then for `wait` seconds, and send a signal; return exit code, stderr, and the last step in it."""
    stage = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert stage.stderr is not None
    stderr = ""
    for line in stage.stderr:
        stderr += line
        if (found := re.match(r"step (\d+)/", line)) and int(found[1]) >= step:
            break
    time.sleep(wait)
    stage.send_signal(number)
    stderr += stage.communicate(timeout=60)[1]
    return stage.returncode, stderr, max([0, *map(int, re.findall(r"^step (\d+)/", stderr, re.MULTILINE))])
