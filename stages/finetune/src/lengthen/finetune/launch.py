"""Run the training program under torchrun and find out how it really ended.

torchrun turns every child's exit code into 1, so rank 0 writes an outcome file, and this side reads it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from lengthen.common.errors import EXIT_SIGINT, EXIT_SIGTERM, Stopped, TransientError, UserError

OUTCOME = "outcome.json"


def train(plan: dict[str, Any], work: Path, processes: int) -> dict[str, Any]:
    """Train by the plan in `work`; returns the outcome: steps, losses, log.

    Raises:
        UserError: the training itself said so, such as for a loss that isn't finite.
        Stopped: SIGTERM or SIGINT.
        TransientError: the training ended without saying why (killed, out of memory).
    """
    outcome = work / OUTCOME
    outcome.unlink(missing_ok=True)
    (work / "plan.json").write_text(json.dumps(plan, indent=1))
    command = [sys.executable, "-m", "lengthen.finetune.torchrun", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "lengthen.finetune.train", str(work / "plan.json")]
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes)), **os.environ, "TOKENIZERS_PARALLELISM": "false"}
    code = _wait(subprocess.Popen(command, env=environment))
    if not outcome.exists():
        raise TransientError(f"training ended with exit code {code} before it could say why; see the lines above")
    result: dict[str, Any] = json.loads(outcome.read_text())
    if "error" in result:
        raise UserError(result["error"])
    return result


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait; pass SIGTERM and SIGINT on."""
    stopped: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        child.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        raise Stopped(EXIT_SIGTERM if stopped[0] == signal.SIGTERM else EXIT_SIGINT)
    return code
