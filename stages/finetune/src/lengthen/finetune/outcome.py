"""The outcome of a finished training: its figures and its log, for the dataset that describes the adapter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lengthen.finetune.batches import Step, padding_share

_NOT_BEFORE_STEP_1 = dict.fromkeys(("loss", "learning_rate", "grad_norm", "tokens_per_second"))


def outcome_of(
    steps: Sequence[Step], lengths: Sequence[int], log: list[dict[str, Any]], before: float | None, ranks: int, peak: int
) -> dict[str, Any]:
    """Figures over the whole training, and its log.

    Args:
        lengths: tokens of each row.
        log: a row of `train_log` for each step.
        before: the validation loss before the first step, which becomes the log's step 0; None without validation.
        peak: bytes, of the rank that used most.
    """
    evaluated = [row["eval_loss"] for row in log if row["eval_loss"] is not None]
    tokens = [sum(lengths[row] for row in step.rows) for step in steps]
    seconds = sum(count / row["tokens_per_second"] for count, row in zip(tokens, log, strict=True))
    start = [] if before is None else [{"step": 0, "epoch": 0.0, "eval_loss": before, **_NOT_BEFORE_STEP_1}]
    return {
        "steps": len(steps),
        "train_loss": math.fsum(row["loss"] for row in log) / len(log),
        "eval_loss_before": before,
        "eval_loss": evaluated[-1] if evaluated else None,
        "tokens_per_second": sum(tokens) / seconds,
        "padding_share": padding_share(steps, lengths),
        "peak_memory_bytes": peak,
        "ranks": ranks,
        "log": start + log,
    }
