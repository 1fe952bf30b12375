"""The training program: PEFT's LoRA on DeepSpeed's engine. One process a device, started by torchrun.

torchrun --nproc-per-node 1 -m lengthen.finetune.train FOLDER

Rank 0 reads FOLDER/plan.json and tells the others. FOLDER/stop asks for an end after the step at hand; FOLDER/outcome.json
says how it ended.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

from lengthen.common.lifeline import die_with_parent

die_with_parent()  # before the imports: they take seconds
warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")  # a matter between DeepSpeed and torch

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed's own guess takes time and prints a warning

import json

import deepspeed
from lengthen.common.errors import EXIT_USER
from lengthen.common.store.files import write_bytes
from lengthen.finetune.failures import advice
from lengthen.finetune.launch import OUTCOME, PLAN
from lengthen.finetune.loop import Trainer
from torch import distributed
from transformers.utils import logging


def main(folder: Path) -> NoReturn:
    """Train by the plan, or as far as it gets; one rank of each machine leaves the outcome. Ends the process."""
    logging.disable_progress_bar()
    _join()
    plan = _shared(json.loads((folder / PLAN).read_text()) if distributed.get_rank() == 0 else None)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # else every new tensor is written twice
    try:
        outcome = Trainer(plan, folder).run()
    except Exception as error:
        if not (told := advice(error)):
            raise
        _leave(folder, {"error": told})  # whichever rank it is: the others may be waiting for it
        raise SystemExit(EXIT_USER) from error
    if os.environ["LOCAL_RANK"] == "0":
        _leave(folder, outcome)
    _end()


def _end() -> NoReturn:
    """End this rank at once. Everything is on disk and all ranks have met, so nothing is left to do but taking down libraries.

    That goes wrong at times on CPUs: a thread of theirs that still runs ended a rank with "terminate called without an active
    exception" after a training that was complete. On GPUs NCCL has to see its last transfers through.
    """
    if distributed.get_backend() == "nccl":
        distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _leave(folder: Path, outcome: dict[str, Any]) -> None:
    write_bytes(folder / OUTCOME, json.dumps(outcome).encode())


def _join() -> None:
    """Join the other ranks by torchrun's environment."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    else:
        # DeepSpeed would compile a transport of its own for CPUs, on the machine that trains; gloo does.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed("nccl" if torch.cuda.is_available() else "gloo", auto_mpi_discovery=False, verbose=False)


def _shared(plan: dict[str, Any] | None) -> dict[str, Any]:
    box = [plan]
    distributed.broadcast_object_list(box, src=0)
    assert box[0] is not None  # noqa: S101 - rank 0 has read it
    return box[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
