"""How a training fails in a way that the user can mend."""

from __future__ import annotations

import torch


class Failed(Exception):
    """The training can't go on, and the message says what to change."""


def advice(error: BaseException) -> str | None:
    """What to tell the user; None for a bug."""
    if isinstance(error, Failed):
        return str(error)
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
        first = (str(error).splitlines() or [type(error).__name__])[0]
        return f"out of memory ({first}); {_KNOBS}"
    return None


_KNOBS = (
    "lower finetune.rows_per_device, set finetune.gradient_checkpointing: true, take finetune.deepspeed: zero3 or zero3_offload, "
    "or lower finetune.max_tokens_ROLE (which rejects the longest rows)"
)
