"""(e) Useful tokens per second of our training, against LLaMA-Factory with its own defaults for LoRA, in an environment of its own.

The same token rows, 4 rows a step, bf16, the same number of threads; only the steps are timed, without the first one. Its defaults for LoRA
are ours here (rank 8, all linear layers), and gradient checkpointing, which trades speed for memory; a second run is without it.
"""

from __future__ import annotations

from importlib.metadata import version
from itertools import count
from typing import Any

import pyarrow.parquet as pq
from environments import own_python
from finetune import BATCH, ROWS, speed, write_rows
from lengthen.common.process.cores import available_cores
from lengthen.finetune.token_file import map_table
from measuring import ROOT, Options, in_turns, run_program
from table import Figure

LLAMA_FACTORY = "0.9.5"


def measure(options: Options) -> list[Figure]:
    requirements = [f"llamafactory=={LLAMA_FACTORY}", f"torch=={version('torch')}"]
    python = own_python(options.cache / "llamafactory", requirements)
    rows, numbers = options.size(ROWS, 8), count()
    file, tokens_file = options.work / "train-again.arrow", options.work / "tokens.parquet"
    write_rows(file, rows, options.model)
    pq.write_table(map_table(file).select(["input_ids"]), tokens_file)  # the same for whatever columns our training reads

    def ours() -> float:
        return speed("ours", options.work / f"ours-again-{next(numbers)}", file, options.model)[0]

    def other(checkpointing: bool) -> float:
        folder = options.work / f"llama-factory-{next(numbers)}"
        spec = {"rows": tokens_file, "folder": folder, "settings": settings(options, folder, checkpointing)}
        threads = {"OMP_NUM_THREADS": str(available_cores())}
        log: list[dict[str, Any]] = run_program(ROOT / "tests/bench/llama_factory_train.py", spec, python, threads)["log"]
        return sum(step["tokens"] for step in log[1:]) / sum(step["seconds"] for step in log[1:])

    kinds = {f"LLaMA-Factory {LLAMA_FACTORY}": True, "LLaMA-Factory without gradient checkpointing": False}
    sides = {name: lambda checkpointing=checkpointing: other(checkpointing) for name, checkpointing in kinds.items()}
    found = in_turns(options.rounds, {"ours": ours, **sides})
    return [
        Figure("e", f"training, {rows} rows: ours against {name}", "tokens/s", tuple(found["ours"]), tuple(found[name])) for name in kinds
    ]


def settings(options: Options, folder: object, checkpointing: bool) -> dict[str, Any]:
    """LLaMA-Factory's own; what is not here is its default."""
    return {
        "model_name_or_path": str(options.model), "stage": "sft", "do_train": True, "finetuning_type": "lora", "template": "default",
        "dataset": "prepared", "tokenized_path": f"{folder}/tokens", "output_dir": f"{folder}/output", "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": 1, "num_train_epochs": 1, "bf16": True, "use_cpu": True, "save_strategy": "no", "seed": 1,
        "report_to": "none", "disable_gradient_checkpointing": not checkpointing,
    }  # fmt: skip
