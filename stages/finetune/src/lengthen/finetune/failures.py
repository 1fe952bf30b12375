"""How a training fails in a way that the user can mend."""

from __future__ import annotations

import math

import torch

_EXPLODED = 3.0  # times the first step's loss


class Failed(Exception):
    """The training can't go on, and the message says what to change."""


def judge(name: str, value: float, step: str, first: float, vocabulary: int) -> None:
    """Stop a training that has come apart.

    Args:
        first: the first step's loss; infinite before there is one.
        vocabulary: a loss above its logarithm is worse than blind guessing.

    Raises:
        Failed: the value is no number, or a loss has grown well beyond the first one and beyond guessing.
    """
    exploded = name.endswith("loss") and value > max(_EXPLODED * first, math.log(vocabulary))
    if exploded or not math.isfinite(value):
        raise Failed(f"{name} is {value:.4g} at step {step}; lower finetune.learning_rate")


def advice(error: BaseException) -> str | None:
    """What to tell the user; None for a bug."""
    if isinstance(error, Failed):
        return str(error)
    said = str(error).lower()
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(words in said for words in _OUT_OF_MEMORY):
        first = (str(error).splitlines() or [type(error).__name__])[0]
        return f"out of memory ({first}); {_KNOBS}"
    return None


_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "alloc_failed", "bad_alloc")  # of the system, CUDA, cuBLAS and NCCL, C++

_KNOBS = (
    "lower finetune.rows_per_device, set finetune.gradient_checkpointing: true, take finetune.deepspeed: zero3 or zero3_offload, "
    "share rows among ranks (finetune.sequence_parallel), or lower finetune.max_tokens_ROLE (which rejects the longest rows)"
)
