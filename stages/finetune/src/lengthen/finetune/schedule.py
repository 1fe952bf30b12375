"""The learning rate of a step: warm-up, then decay. A function of the step's number, so resuming needs no scheduler state."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, peak: float, warmup_ratio: float, shape: str) -> float:
    """The rate of step 1..`steps`: step s of w warm-up steps has peak * s / w, and no step has 0.

    Args:
        shape: after the warm-up: "cosine" (half a period), "linear" or "constant".
    """
    warmup = max(1, math.ceil(warmup_ratio * steps))
    if step <= warmup:
        return peak * step / warmup
    done = (step - warmup) / (steps - warmup + 1)  # + 1: the last step's rate is above 0
    return peak * {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}[shape]
