"""(e) Useful (non-padding) tokens per second of our training, against plain TRL on the same rows.

All train on the same rows of mixed length for one epoch: 4 rows a step in one forward pass, LoRA of rank 8 on all linear layers,
bf16, ZeRO-2, one rank under torchrun, the same number of threads. Only the steps are timed, without the first one (warm-up). TRL
runs with its defaults and with rows grouped by length (`trl-grouped`), to separate the cost of padding from other differences.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
from lengthen.common.process.cores import available_cores
from lengthen.finetune.batches import padding_share, training_steps
from lengthen.finetune.plan import deepspeed_settings
from lengthen.finetune.token_file import SCHEMA, TokenFile
from lengthen.finetune.tokens import TokenData
from measuring import Options, in_turns, note
from table import Figure

BATCH = 4
ROWS = 48
GROUPED = {"ours": None, "trl": "random", "trl-grouped": "group_by_length"}  # TRL's order of rows
LORA = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": "all-linear"}


def measure(options: Options) -> list[Figure]:
    rows, numbers = options.size(ROWS, 8), count()
    file = options.work / "train.arrow"
    tokens = write_rows(file, rows, options.model)

    def run(name: str) -> float:
        useful, padding = speed(name, options.work / f"{name}-{next(numbers)}", file, options.model)
        note(f"  {name}: {padding:.0%} padding")
        return useful

    found = in_turns(options.rounds, {name: lambda name=name: run(name) for name in GROUPED})
    what = f"training, {rows} rows, {tokens:,} tokens: ours against {{}}"
    names = {"trl": "plain TRL", "trl-grouped": "TRL with rows grouped by length"}
    return [Figure("e", what.format(text), "tokens/s", tuple(found["ours"]), tuple(found[name])) for name, text in names.items()]


def write_rows(path: Path, count: int, model: Path) -> int:
    """Write rows of 100 to 1,600 tokens, most of them short, like those of a laptop run. Two fifths of a row are its prompt."""
    rng = random.Random(7)
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    rows = []
    for number in range(count):
        length = int(100 * 16 ** rng.random())
        ids = [rng.randrange(100, vocabulary) for _ in range(length)]
        prompt = length * 2 // 5
        rows.append({"id": str(number), "input_ids": ids, "prompt_tokens": prompt})
    with TokenFile(path) as file:
        file.write(pa.RecordBatch.from_pylist(rows, SCHEMA))
    return file.tokens


def speed(name: str, folder: Path, rows: Path, model: Path) -> tuple[float, float]:
    """Train once; return (useful tokens per second, share of the computed tokens that are padding)."""
    folder.mkdir()
    program = ["-m", "lengthen.finetune.train", str(folder)] if name == "ours" else [__file__, str(folder)]
    (folder / "plan.json").write_text(json.dumps(plan(folder, rows, model) | {"order": GROUPED[name]}))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1", *program]
    environment = {**os.environ, "OMP_NUM_THREADS": str(available_cores()), "TOKENIZERS_PARALLELISM": "false", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    log: list[dict[str, Any]] = json.loads((folder / "outcome.json").read_text())["log"]
    if name == "ours":
        lengths = TokenData(rows).lengths
        steps = training_steps(lengths, 1, BATCH, BATCH, seed=1)
        tokens = [sum(lengths[row] for row in step.rows) for step in steps]
        log = [{"tokens": count, "seconds": count / row["tokens_per_second"]} for count, row in zip(tokens, log, strict=True)]
        padding = padding_share(steps, lengths)
    else:
        padding = 1 - sum(row["tokens"] for row in log) / sum(row["computed"] for row in log)
    return sum(row["tokens"] for row in log[1:]) / sum(row["seconds"] for row in log[1:]), padding


def plan(folder: Path, rows: Path, model: Path) -> dict[str, Any]:
    return {
        "model": str(model), "dtype": "bfloat16", "adapter": None, "train": str(rows), "validation": None,
        "deepspeed": deepspeed_settings("zero2"), "seed": 1, "ranks": 1, "save_steps": 10**6, "digest": "bench",
        "scratch": str(folder), "checkpoints": str(folder / "checkpoints"), "resume": None, "num_train_epochs": 1,
        "train_batch_size": BATCH, "per_device_train_batch_size": BATCH, "sequence_parallel_size": 1, "max_grad_norm": 1.0,
        "learning_rate": 1e-4, "warmup_ratio": 0.1, "lr_scheduler_type": "cosine", "gradient_checkpointing": False, "lora": LORA,
    }  # fmt: skip


def with_labels(row: dict[str, Any]) -> dict[str, Any]:
    prompt = row["prompt_tokens"]
    return {"labels": [-100] * prompt + row["input_ids"][prompt:]}


def train_with_trl(folder: Path) -> None:
    """The usual TRL program: SFTTrainer, here on rows that are already tokenized."""
    import time

    import deepspeed
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # as in our training: nothing is compiled; gloo needs no compiler
    settings = json.loads((folder / "plan.json").read_text())
    log: list[dict[str, float]] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *arguments: Any, **rest: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *arguments: Any, **rest: Any) -> None:
            log.append({"seconds": time.monotonic() - self.began})

    class Counting(SFTTrainer):
        def training_step(self, model: Any, inputs: Any, *rest: Any) -> Any:
            counts.append({"tokens": int(inputs["attention_mask"].sum()), "computed": inputs["input_ids"].numel()})
            return super().training_step(model, inputs, *rest)

    counts: list[dict[str, int]] = []
    auto = dict.fromkeys(("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps"), "auto")
    arguments = SFTConfig(
        output_dir=str(folder / "trl"), num_train_epochs=1, per_device_train_batch_size=BATCH, learning_rate=1e-4, bf16=True,
        use_cpu=True, max_grad_norm=settings["max_grad_norm"], max_length=None, packing=False,
        deepspeed=settings["deepspeed"] | auto | {"gradient_clipping": settings["max_grad_norm"], "bf16": {"enabled": True}},
        gradient_checkpointing=False, dataset_kwargs={"skip_prepare_dataset": True}, save_strategy="no", logging_steps=1,
        train_sampling_strategy=settings["order"], report_to="none", disable_tqdm=True, seed=1,
    )  # fmt: skip
    trainer = Counting(
        model=AutoModelForCausalLM.from_pretrained(settings["model"], dtype=torch.bfloat16),
        args=arguments,
        train_dataset=Dataset.from_file(settings["train"]).map(with_labels, remove_columns=["id", "prompt_tokens"], keep_in_memory=True),
        processing_class=AutoTokenizer.from_pretrained(settings["model"]),
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear"),
        callbacks=[Clock()],
    )
    trainer.train()
    timed = [row | count for row, count in zip(log, counts, strict=True)]
    (folder / "outcome.json").write_text(json.dumps({"log": timed}))


if __name__ == "__main__":  # this file is also TRL's training program
    train_with_trl(Path(sys.argv[1]))
