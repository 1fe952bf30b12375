"""The model that is trained, an adapter on a frozen base, and the files it is saved as."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from lengthen.finetune.sequence_parallel import ATTENTION
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM


def load(plan: dict[str, Any]) -> PeftModel:
    """The base model with a new adapter, the same numbers on every rank, or with the adapter that training continues."""
    base = AutoModelForCausalLM.from_pretrained(
        plan["model"],
        dtype=precision(plan),
        trust_remote_code=False,
        use_safetensors=True,
        local_files_only=True,
        attn_implementation=ATTENTION if plan["sequence_parallel_size"] > 1 else None,
    )
    base.config.use_cache = False
    if plan["gradient_checkpointing"]:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    lora = plan["lora"]
    if plan["adapter"]:
        config = LoraConfig.from_pretrained(plan["adapter"])
        config.lora_dropout, config.inference_mode = lora["lora_dropout"], False
        return PeftModel.from_pretrained(base, plan["adapter"], is_trainable=True, config=config, autocast_adapter_dtype=False)
    torch.manual_seed(plan["seed"])
    return get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **lora), autocast_adapter_dtype=False)


def save(model: PeftModel, weights: dict[str, Tensor], plan: dict[str, Any], folder: Path) -> None:
    """Write adapter_model.safetensors and adapter_config.json: the same bytes for the same numbers.

    Args:
        weights: by the names of the model's parameters, whole, in float32.
    """
    rounded = {name: value.to(precision(plan)).contiguous() for name, value in weights.items()}
    save_file(get_peft_model_state_dict(model, rounded, save_embedding_layers=False), folder / "adapter_model.safetensors")
    config = model.peft_config["default"].to_dict() | {"inference_mode": True}
    settings = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def precision(plan: dict[str, Any]) -> torch.dtype:
    """Of the base and of the forward pass; the optimizer works in float32."""
    return torch.float32 if plan["dtype"] == "float32" else torch.bfloat16
