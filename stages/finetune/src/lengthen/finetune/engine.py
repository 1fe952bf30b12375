"""DeepSpeed's engine around the model: how it is made, checked and measured."""

from __future__ import annotations

import resource
from typing import Any

import deepspeed
import torch
from lengthen.finetune import lora
from lengthen.finetune.failures import Failed
from lengthen.finetune.loss import AnswerLoss
from lengthen.finetune.sharing import share_rows
from torch import Tensor
from transformers.integrations import HfDeepSpeedConfig


def open_engine(plan: dict[str, Any], ranks: int) -> Any:
    """The model to train on this rank's device, with AdamW. The learning rate is the caller's to set at every step."""
    settings = plan["deepspeed"] | {
        "train_micro_batch_size_per_gpu": plan["rows_per_device"],
        "gradient_accumulation_steps": plan["rows_per_step"] // (plan["rows_per_device"] * ranks // plan["sequence_parallel"]),
        "bf16": {"enabled": lora.precision(plan) == torch.bfloat16},
    }
    share_rows(plan["model"], plan["sequence_parallel"], plan["rows_per_device"])
    kept = HfDeepSpeedConfig(settings)  # with ZeRO-3 from_pretrained loads each weight in the ranks' pieces while this lives
    model = AnswerLoss(lora.load(plan))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adam = torch.optim.AdamW(parameters, lr=plan["learning_rate"], weight_decay=0.0)
    engine, *_ = deepspeed.initialize(model=model, optimizer=adam, config=settings, model_parameters=parameters)
    del kept
    engine.train()
    return engine


def check_head(engine: Any, ids: Tensor, targets: Tensor, positions: Tensor | None) -> None:
    """Our loss must be the model's: some models do more to their logits than the output layer does.

    Raises:
        Failed: this one does.
    """
    engine.eval()
    with torch.no_grad():
        ours, theirs = (float(engine(ids, targets, positions, whole)) for whole in (False, True))
    engine.train()
    if abs(ours - theirs) > 0.02 * abs(theirs) + 0.01:
        raise Failed(f"this model's logits are not its output layer's ({ours:.4g}, {theirs:.4g}): it can't be trained here")


def peak_bytes() -> int:
    """Memory that this rank has used at most: of its GPU, or of the process."""
    used = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(used)
