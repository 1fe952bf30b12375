"""Run the training program under torchrun and find out how it really ended.

torchrun turns every child's exit code into 1, so the ranks leave an outcome file, and this side reads it. They are asked to
stop through a file too: torchrun would kill ranks half a minute after a signal, and a step of long rows takes longer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from lengthen.common.errors import EXIT_SIGINT, EXIT_SIGTERM, Stopped, TransientError, UserError
from lengthen.common.store.lock import lost

PLAN, STOP, OUTCOME = "plan.json", "stop", "outcome.json"
_PROGRAM = ["-m", "lengthen.finetune.train"]


def machines() -> int:
    """How many machines train together: torchrun's own variable PET_NNODES; unset, this one alone.

    Raises:
        UserError: it is no plain number (an elastic range would change the batches).
    """
    value = os.environ.get("PET_NNODES", "1")
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"PET_NNODES is {value!r}; set it to the number of machines, such as 2")
    return int(value)


def machine() -> int:
    """This machine's number; 0 does everything but the other machines' share of the steps.

    Raises:
        UserError: there are several machines, and it is not the number of one.
    """
    if machines() == 1:
        return 0
    value = os.environ.get("PET_NODE_RANK", "")
    if not value.isdecimal() or int(value) >= machines():
        raise UserError(f"PET_NODE_RANK is {value!r}; set it to this machine's number, 0 to {machines() - 1} (PET_NNODES is {machines()})")
    return int(value)


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """SIGTERM and SIGINT end what is inside with Stopped: nothing of it is lost that isn't made again in seconds."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(EXIT_SIGTERM if number == signal.SIGTERM else EXIT_SIGINT)

    with _handling(stop):
        yield


def train(folder: Path, processes: int, over: Callable[[], bool] = lambda: False) -> None:
    """Run this machine's ranks.

    Args:
        folder: this run's own; it holds the plan on machine 0.
        processes: ranks on this machine.
        over: asked once a second; True when there is nothing left to take part in.

    Raises:
        UserError: the training itself said so, such as for a loss that isn't finite.
        Stopped: SIGTERM or SIGINT, here or on another machine; a checkpoint is saved.
        TransientError: the training ended without saying why (killed, a device or a machine gone).
    """
    command = [sys.executable, "-m", "lengthen.finetune.torchrun", f"--nproc-per-node={processes}", "--max-restarts=0"]
    command += ["--rdzv-conf=timeout=3600"] if machines() > 1 else ["--standalone"]  # machine 0 makes its rows first
    command += [*_PROGRAM, str(folder)]
    # A session of its own: an interrupt from the terminal reaches this process alone, which asks the ranks to stop.
    child = subprocess.Popen(command, env=_environment(processes), start_new_session=True)
    code, stopped = _wait(child, folder, over)
    if over():
        return
    if not folder.exists():
        raise lost(folder)
    result: dict[str, Any] = json.loads((folder / OUTCOME).read_text()) if (folder / OUTCOME).exists() else {}
    if "error" in result:
        raise UserError(result["error"])
    if stopped or "stopped" in result:
        raise Stopped(EXIT_SIGINT if stopped == signal.SIGINT else EXIT_SIGTERM)
    if not result:  # with one, every rank was done: how they ended afterwards changes nothing
        raise TransientError(
            f"training ended with exit code {code} before it could say why; see the lines above. "
            "If the system killed a process, memory was too small: lower finetune.rows_per_device or take zero3_offload"
        )


def _environment(processes: int) -> dict[str, str]:
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    quiet = {"TOKENIZERS_PARALLELISM": "false", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # the latter: the same sums every time
    return {"OMP_NUM_THREADS": threads, **os.environ, **quiet}


def _wait(child: subprocess.Popen[bytes], folder: Path, over: Callable[[], bool]) -> tuple[int, int | None]:
    """Wait; on the first SIGTERM or SIGINT ask the ranks to stop after their step, on the second end them.

    Returns:
        torchrun's exit code and the signal that arrived.
    """
    stopped: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if stopped or not folder.exists():  # asked for the second time, or another writer took over
            child.kill()  # its ranks die with it
        stopped.append(number)
        with suppress(FileNotFoundError):
            (folder / STOP).touch()

    with _handling(ask):
        while True:
            try:
                return child.wait(1.0), stopped[0] if stopped else None
            except subprocess.TimeoutExpired:
                if over():
                    child.kill()


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)
