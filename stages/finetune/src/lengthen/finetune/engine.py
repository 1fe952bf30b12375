"""DeepSpeed's engine around the model: how it is made and checked."""

from __future__ import annotations

from typing import Any

import deepspeed
import torch
from lengthen.finetune import lora
from lengthen.finetune.failures import TrainingFailed
from lengthen.finetune.loss import AnswerLoss
from lengthen.finetune.sequence_parallel import enable_sequence_parallel
from torch import Tensor
from transformers.integrations import HfDeepSpeedConfig


def open_engine(plan: dict[str, Any], ranks: int) -> Any:
    """The model to train on this rank's device, with AdamW. The caller sets the learning rate at every step."""
    rows, sharing = plan["per_device_train_batch_size"], plan["sequence_parallel_size"]
    settings = plan["deepspeed"] | {
        "train_micro_batch_size_per_gpu": rows,
        "gradient_accumulation_steps": plan["train_batch_size"] // (rows * ranks // sharing),
        "gradient_clipping": plan["max_grad_norm"],  # 0: none
        "bf16": {"enabled": lora.precision(plan) == torch.bfloat16},
    }
    enable_sequence_parallel(plan["model"], sharing, rows)
    zero3_loading = HfDeepSpeedConfig(settings)  # as long as it exists, from_pretrained divides each weight among the ranks of ZeRO-3
    model = AnswerLoss(lora.load(plan))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adam = torch.optim.AdamW(parameters, lr=plan["learning_rate"], weight_decay=0.0)
    engine, *_ = deepspeed.initialize(model=model, optimizer=adam, config=settings, model_parameters=parameters)
    del zero3_loading
    engine.train()
    return engine


def check_head(engine: Any, ids: Tensor, targets: Tensor, positions: Tensor | None) -> None:
    """Our loss must be the model's: some models do more to their logits than the output layer does.

    Raises:
        TrainingFailed: this one does.
    """
    engine.eval()
    with torch.no_grad():
        ours, theirs = (float(engine(ids, targets, positions, whole)) for whole in (False, True))
    engine.train()
    if abs(ours - theirs) > 0.02 * abs(theirs) + 0.01:
        raise TrainingFailed(
            f"this model's logits are not its output layer's (loss {ours:.4g}, by the model itself {theirs:.4g}), such as with soft caps "
            "or scaled logits; it can't be trained here: set model.path to another model"
        )
