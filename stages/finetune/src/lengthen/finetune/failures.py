"""Failures of a training that the user can correct: it diverges, memory is too small, or an operation is not deterministic."""

from __future__ import annotations

import math

import torch

_DIVERGED = 3.0  # times the first step's loss


class TrainingFailed(Exception):
    """The training can't continue, and the message says what to change."""


def check_diverged(name: str, value: float, step: str, first: float, vocabulary: int) -> None:
    """Stop a training that has diverged.

    Args:
        name: of the value: a loss, a gradient's norm or a weight.
        first: the first step's loss; infinite before there is one.
        vocabulary: its size; a loss above its logarithm is worse than that of a uniform distribution.

    Raises:
        TrainingFailed: the value is not finite, or a loss is far above the first one and above that of a uniform distribution.
    """
    diverged = name.endswith("loss") and value > max(_DIVERGED * first, math.log(vocabulary))
    if diverged or not math.isfinite(value):
        raise TrainingFailed(f"training diverged: {name} is {value:.4g} at step {step}; lower finetune.learning_rate")


def advice(error: BaseException) -> str | None:
    """What to tell the user; None for a bug."""
    if isinstance(error, TrainingFailed):
        return str(error)
    text = str(error).lower()
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(words in text for words in _OUT_OF_MEMORY):
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        return f"out of memory ({first_line}); {_LESS_MEMORY}"
    if "deterministic" in text and "implementation" in text:  # torch.use_deterministic_algorithms has no type of its own
        return f"{str(error).splitlines()[0].partition(', but you set')[0]}; set finetune.runtime.deterministic: false"
    return None


_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "alloc_failed", "bad_alloc")  # of the system, CUDA, cuBLAS and NCCL, C++

_LESS_MEMORY = (
    "lower finetune.runtime.per_device_train_batch_size, set finetune.runtime.gradient_checkpointing: true, set "
    "finetune.runtime.deepspeed: zero3 or zero3_offload, or let ranks share rows (finetune.runtime.sequence_parallel_size): with these "
    "the training resumes from its last checkpoint; or lower finetune.max_tokens_ROLE, which rejects the longest rows and starts "
    "again from the first step, with --overwrite"
)
