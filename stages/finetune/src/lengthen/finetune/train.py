"""The training program: PEFT's LoRA on DeepSpeed's engine. One process a device, started by torchrun.

torchrun --nproc-per-node 1 -m lengthen.finetune.train FOLDER

Rank 0 reads FOLDER/plan.json and sends it to the others. FOLDER/stop requests a stop after the current step.
FOLDER/outcome.json says how the training ended.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

from lengthen.finetune.parent_death import die_with_parent

die_with_parent()  # before the imports: they take seconds
warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")  # DeepSpeed calls what torch will remove

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed's own guess takes time and prints a warning

import json

import deepspeed
from lengthen.common.process.errors import EXIT_USER
from lengthen.common.store.files import write_bytes
from lengthen.finetune.failures import advice
from lengthen.finetune.launch import OUTCOME, PLAN
from lengthen.finetune.loop import Trainer
from torch import distributed
from transformers.utils import logging


def main(folder: Path) -> NoReturn:
    """Train as the plan says, to its end or to a stop; one rank of each machine writes the outcome. Ends the process."""
    logging.disable_progress_bar()
    _init_distributed()
    plan = _broadcast(json.loads((folder / PLAN).read_text()) if distributed.get_rank() == 0 else None)
    # Strict: with warn_only=True attention keeps its fast backward pass on a GPU, which adds up in a different order each time.
    torch.use_deterministic_algorithms(plan["deterministic"])
    torch.utils.deterministic.fill_uninitialized_memory = False  # else every new tensor is written twice
    try:
        outcome = Trainer(plan, folder).run()
    except Exception as error:
        if not (message := advice(error)):
            raise
        _write_outcome(folder, {"error": message})  # whichever rank it is: the others may be waiting for it
        raise SystemExit(EXIT_USER) from error
    if os.environ["LOCAL_RANK"] == "0":
        _write_outcome(folder, outcome)
    _exit()


def _exit() -> NoReturn:
    """End this rank at once. Everything is on disk and all ranks have met, so only the libraries' shutdown is left.

    On CPUs that fails at times: a library's thread that was still running aborted a rank ("terminate called without an active
    exception") after a training that was complete. On GPUs NCCL has to finish its last transfers.
    """
    if distributed.get_backend() == "nccl":
        distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _write_outcome(folder: Path, outcome: dict[str, Any]) -> None:
    write_bytes(folder / OUTCOME, json.dumps(outcome).encode())


def _init_distributed() -> None:
    """Join the other ranks by torchrun's environment."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    else:
        # For CPUs DeepSpeed would compile a transport of its own on the machine that trains; gloo needs no compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed("nccl" if torch.cuda.is_available() else "gloo", auto_mpi_discovery=False, verbose=False)


def _broadcast(plan: dict[str, Any] | None) -> dict[str, Any]:
    box = [plan]
    distributed.broadcast_object_list(box, src=0)
    assert box[0] is not None  # noqa: S101 - rank 0 has read it
    return box[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
