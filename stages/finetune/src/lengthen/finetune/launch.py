"""Run the training program under torchrun and find out how it really ended.

torchrun turns every child's exit code into 1, so the ranks leave an outcome file, and this side reads it. Ranks are asked to
stop through a file too: torchrun kills ranks half a minute after a signal, and a step of long rows takes longer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from lengthen.common.process.cores import available_cores
from lengthen.common.process.errors import EXIT_SIGINT, EXIT_SIGTERM, Stopped, TransientError, UserError
from lengthen.common.process.progress import say
from lengthen.common.stage.job import Job
from lengthen.common.stage.signals import handling
from lengthen.common.store.lock import taken_over
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.origin import Origin, completed
from lengthen.finetune.machines import machine_count

PLAN, STOP, OUTCOME = "plan.json", "stop", "outcome.json"
_PROGRAM = ["-m", "lengthen.finetune.train"]


def train(folder: Path, processes: int, is_complete: Callable[[], bool] = lambda: False) -> None:
    """Run this machine's ranks.

    Args:
        folder: this run's own; it holds the plan on machine 0.
        processes: ranks on this machine.
        is_complete: called once a second; True when the dataset is complete and nothing is left to train.

    Raises:
        UserError: the training failed in a way that the user can correct, such as a loss that diverged.
        Stopped: SIGTERM or SIGINT, here or on another machine; a checkpoint is saved.
        TransientError: the training ended without an outcome (a process was killed, a device or a machine was lost).
    """
    command = [sys.executable, "-m", "lengthen.finetune.torchrun", f"--nproc-per-node={processes}", "--max-restarts=0"]
    # The other machines wait while machine 0 makes the rows.
    command += ["--rdzv-conf=timeout=3600"] if machine_count() > 1 else ["--standalone"]
    command += [*_PROGRAM, str(folder)]
    # A session of its own: an interrupt from the terminal reaches this process alone, which asks the ranks to stop.
    child = subprocess.Popen(command, env=_environment(processes), start_new_session=True)
    code, stopped = _wait(child, folder, is_complete)
    if is_complete():
        return
    if not folder.exists():
        raise taken_over(folder)
    result: dict[str, Any] = json.loads((folder / OUTCOME).read_text()) if (folder / OUTCOME).exists() else {}
    if "error" in result:
        raise UserError(result["error"])
    if stopped or "stopped" in result:
        raise Stopped(EXIT_SIGINT if stopped == signal.SIGINT else EXIT_SIGTERM)
    if not result:  # with an outcome, every rank had finished: how the processes ended afterwards changes nothing
        raise TransientError(
            f"training ended with exit code {code} before it could say why; see the lines above. If the system killed a process, "
            "memory was too small: lower finetune.runtime.per_device_train_batch_size, or set finetune.runtime.deepspeed: zero3_offload"
        )


def train_with_first_machine(job: Job, origin: Origin) -> None:
    """Run this machine's ranks, on a machine that is not the first. Nothing is written: machine 0 does that.

    The end is a manifest that was not there at the beginning (with --overwrite an older one was).
    """
    if manifest := completed(job.output, origin, job.overwrite):
        say(f"finetune: {job.output} is already complete ({manifest.rows_out} rows)")
        return
    before = read_manifest(job.output)
    with TemporaryDirectory() as folder:
        processes = job.config.finetune.runtime.nproc_per_node
        train(Path(folder), processes, lambda: read_manifest(job.output) not in (None, before))


def _environment(processes: int) -> dict[str, str]:
    threads = str(max(1, available_cores() // processes))
    quiet = {"TOKENIZERS_PARALLELISM": "false", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # the latter: deterministic cuBLAS
    return {"OMP_NUM_THREADS": threads, **os.environ, **quiet}


def _wait(child: subprocess.Popen[bytes], folder: Path, is_complete: Callable[[], bool]) -> tuple[int, int | None]:
    """Wait; the first SIGTERM or SIGINT asks the ranks to stop after their step, the second kills them.

    Returns:
        torchrun's exit code and the signal that arrived.
    """
    signals: list[int] = []

    def request_stop(number: int, frame: FrameType | None) -> None:
        if signals or not folder.exists():  # the second signal, or another writer took the dataset over
            child.kill()  # its ranks die with it
        signals.append(number)
        with suppress(FileNotFoundError):
            (folder / STOP).touch()

    with handling(request_stop):
        while True:
            try:
                return child.wait(1.0), signals[0] if signals else None
            except subprocess.TimeoutExpired:
                if is_complete():
                    child.kill()
