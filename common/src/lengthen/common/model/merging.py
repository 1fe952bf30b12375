"""Merge a base model and a LoRA adapter into one model folder."""

from __future__ import annotations

import shutil
from pathlib import Path

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def merge(base: Path, adapter: Path, target: Path, dtype: str = "bfloat16") -> None:
    """Write the merged weights to `target`, with the base model's tokenizer, chat template and configuration.

    Args:
        base: a model folder (safetensors).
        adapter: a folder with adapter_model.safetensors and adapter_config.json.
        target: the new folder; must not exist.
        dtype: of the merged weights. They are computed in float32 and rounded once.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()

    shutil.copytree(base, target, ignore=shutil.ignore_patterns(*_WEIGHTS))
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, trust_remote_code=False, use_safetensors=True, local_files_only=True
    )
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.to(getattr(torch, dtype)).save_pretrained(target)
