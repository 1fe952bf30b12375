"""The training program: TRL's SFTTrainer with PEFT's LoRA on DeepSpeed. One process a device, started by torchrun.

torchrun --nproc-per-node 1 -m lengthen.finetune.train plan.json
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from lengthen.common.lifeline import die_with_parent

die_with_parent()  # before the imports: they take seconds

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed's own guess takes time and prints a warning

from datasets import Dataset, disable_progress_bars
from lengthen.common.store.files import write_bytes
from lengthen.finetune.launch import OUTCOME
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import logging
from trl import SFTConfig, SFTTrainer


def main(plan_file: Path) -> None:
    """Train as the plan says; rank 0 leaves the adapter in `.work/adapter` and the outcome beside it."""
    logging.disable_progress_bar()
    disable_progress_bars()
    plan = json.loads(plan_file.read_text())
    work = plan_file.parent
    # The arguments come first: with ZeRO-3 they make from_pretrained load each weight in pieces.
    arguments = _arguments(plan, work)
    log = _Log()
    trainer = SFTTrainer(
        model=_model(plan),
        args=arguments,
        train_dataset=Dataset.from_parquet(plan["train"]).remove_columns("id"),
        eval_dataset=Dataset.from_parquet(plan["validation"]).remove_columns("id") if plan["validation"] else None,
        processing_class=AutoTokenizer.from_pretrained(plan["model"], trust_remote_code=False, local_files_only=True),
        callbacks=[log],
    )
    trainer.remove_callback(PrinterCallback)  # our own line a step is enough
    result = trainer.train()
    trainer.save_model(str(work / "saved"))
    if trainer.is_world_process_zero():
        _leave(work / OUTCOME, log.outcome(int(result.global_step), float(result.training_loss)))


def _arguments(plan: dict[str, Any], work: Path) -> SFTConfig:
    return SFTConfig(
        output_dir=str(work / "trainer"),
        num_train_epochs=plan["epochs"],
        learning_rate=plan["learning_rate"],
        warmup_steps=plan["warmup_ratio"],
        lr_scheduler_type=plan["scheduler"],
        per_device_train_batch_size=plan["rows_per_device"],
        per_device_eval_batch_size=plan["rows_per_device"],
        gradient_accumulation_steps=plan["accumulation"],
        gradient_checkpointing=plan["gradient_checkpointing"],
        deepspeed=plan["deepspeed"],
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        max_length=None,  # rows are never cut: over-long ones were rejected before
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},  # the rows hold tokens and labels already
        eval_strategy="epoch" if plan["validation"] else "no",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        report_to="none",
        seed=plan["seed"],
        data_seed=plan["seed"],
        trust_remote_code=False,
    )


def _model(plan: dict[str, Any]) -> PreTrainedModel | PeftModel:
    base = AutoModelForCausalLM.from_pretrained(
        plan["model"], dtype=torch.bfloat16, trust_remote_code=False, use_safetensors=True, local_files_only=True
    )
    base.config.use_cache = False
    if plan["adapter"]:
        return PeftModel.from_pretrained(base, plan["adapter"], is_trainable=True, autocast_adapter_dtype=False)
    lora = plan["lora"]
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora["rank"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules=lora["target_modules"],
        use_rslora=lora["rslora"],
    )
    return get_peft_model(base, config, autocast_adapter_dtype=False)


class _Log(TrainerCallback):  # type: ignore[misc]
    """The rows of `train_log`, one line a step for the user, and a stop when the loss is no number."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.since, self.tokens = time.monotonic(), 0.0

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **rest: Any
    ) -> None:
        logs = logs or {}
        if not state.is_world_process_zero or not logs.keys() & {"loss", "eval_loss"}:
            return
        now, tokens = time.monotonic(), float(logs.get("num_tokens", self.tokens))
        speed = (tokens - self.tokens) / (now - self.since) if "loss" in logs else None
        self.since, self.tokens = now, tokens
        names = ("loss", "eval_loss", "learning_rate", "grad_norm")
        row = {"step": state.global_step, "epoch": float(logs.get("epoch", 0.0)), "tokens_per_second": speed}
        self.rows.append(row | {name: float(logs[name]) if name in logs else None for name in names})
        value, label = (logs["loss"], "loss") if "loss" in logs else (logs["eval_loss"], "validation loss")
        print(f"step {state.global_step}/{state.max_steps}: {label} {value:.4f}", file=sys.stderr, flush=True)
        if not math.isfinite(value):
            work = Path(args.output_dir).parent
            _leave(work / OUTCOME, {"error": f"{label} is {value} at step {state.global_step}; lower finetune.learning_rate"})
            sys.exit(2)

    def outcome(self, steps: int, loss: float) -> dict[str, Any]:
        evaluated = [row["eval_loss"] for row in self.rows if row["eval_loss"] is not None]
        return {"steps": steps, "train_loss": loss, "eval_loss": evaluated[-1] if evaluated else None, "log": self.rows}


def _leave(path: Path, outcome: dict[str, Any]) -> None:
    write_bytes(path, json.dumps(outcome).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
