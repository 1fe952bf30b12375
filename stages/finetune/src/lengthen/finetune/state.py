"""What a training step changes: the adapter's weights in float32 and Adam's two moments. Nothing else has to be saved.

The tensors are whole, not divided among ranks: they fit any number of ranks and any ZeRO stage.
"""

from __future__ import annotations

from typing import Any

import deepspeed
import torch
from deepspeed.utils import (
    safe_get_full_fp32_param,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
)
from torch import Tensor

_MOMENTS = ("exp_avg", "exp_avg_sq")


def trained_parameters(engine: Any) -> dict[str, Any]:
    return {name: parameter for name, parameter in engine.module.named_parameters() if parameter.requires_grad}


def weights(engine: Any) -> dict[str, Tensor]:
    """The trained weights in float32, whole, on every rank. All ranks have to call it."""
    return {name: safe_get_full_fp32_param(parameter).cpu() for name, parameter in trained_parameters(engine).items()}


def gather(engine: Any) -> dict[str, Tensor]:
    """Weights and moments, by `weight:NAME`, `exp_avg:NAME`, `exp_avg_sq:NAME`. All ranks have to call it."""
    found = {f"weight:{name}": value for name, value in weights(engine).items()}
    for name, parameter in trained_parameters(engine).items():
        found |= {f"{moment}:{name}": safe_get_full_optimizer_state(parameter, moment).cpu() for moment in _MOMENTS}
    return found


def restore(engine: Any, tensors: dict[str, Tensor], step: int) -> None:
    """Put back what `gather` gave after `step` steps. All ranks have to call it."""
    _create_moments(engine.optimizer, step)
    for name, parameter in trained_parameters(engine).items():
        value = tensors[f"weight:{name}"].to(engine.device)
        safe_set_full_fp32_param(parameter, value)
        with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0):
            parameter.data.copy_(value)  # rounded as the optimizer itself rounds it
        for moment in _MOMENTS:
            safe_set_full_optimizer_state(parameter, tensors[f"{moment}:{name}"].to(engine.device), moment)


def _create_moments(zero: Any, step: int) -> None:
    """Adam creates its state at its first step; a resumed training needs it before, to write into."""
    adam = zero.optimizer
    flat = zero.fp32_partitioned_groups_flat if hasattr(zero, "fp32_partitioned_groups_flat") else zero.single_partition_of_fp32_groups
    for partition in flat:
        adam.state[partition] = {"step": torch.tensor(float(step))} | {moment: torch.zeros_like(partition) for moment in _MOMENTS}
    if hasattr(zero, "_lazy_init_hp_params_optimizer_state"):
        zero._lazy_init_hp_params_optimizer_state()  # ZeRO-2 finds the moments by links that it makes once
