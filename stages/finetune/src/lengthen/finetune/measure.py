"""What a training needs and how fast its device is: parameters, matmul throughput, peak memory."""

from __future__ import annotations

import resource
import time
from typing import Any

import torch


def parameter_count(engine: Any) -> int:
    """Of the whole model, with the parameters that ZeRO-3 keeps on other ranks."""
    return sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in engine.module.parameters())


def matmul_throughput(engine: Any) -> float:
    """Floating-point operations per second of this rank's matrix multiplication, in the precision of the forward pass."""
    size = 1024 if engine.device.type == "cpu" else 8192
    square = torch.ones(size, size, dtype=next(engine.module.parameters()).dtype, device=engine.device)
    seconds = []
    for _ in range(4):  # the first one loads the kernel
        began = time.monotonic()
        float((square @ square)[0, 0])  # waits for the device
        seconds.append(time.monotonic() - began)
    return float(2 * size**3 / min(seconds))


def peak_bytes() -> int:
    """The most memory that this rank has used: of its GPU, or of the process."""
    used = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(used)
