"""What the user is told while a training runs: one line a step, from rank 0."""

from __future__ import annotations

import time
from typing import Any

from lengthen.common.process.progress import say, tell_argo
from lengthen.finetune.estimate import training_seconds
from lengthen.finetune.measure import matmul_throughput, parameter_count


class TrainingProgress:
    """Progress of a training of so many steps; ranks after the first say nothing."""

    def __init__(self, steps: int, rank: int) -> None:
        self.steps, self.is_first_rank = steps, rank == 0
        self.began, self.resumed_after = time.monotonic(), 0

    def resumed(self, step: int) -> None:
        self._say(f"finetune: resumes after step {step} of {self.steps}")

    def loaded(self, plan: dict[str, Any], tokens: int, engine: Any) -> None:
        """The model is loaded. All ranks have to call it: they measure under the same load.

        Args:
            tokens: of the rows, once.
        """
        seconds = training_seconds(plan, tokens, parameter_count(engine), matmul_throughput(engine))
        duration = f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
        self._say(f"finetune: about {duration} on {engine.device.type}, estimated from matmul throughput")

    def evaluated(self, loss: float) -> None:
        self._say(f"finetune: validation loss {loss:.4f} before the first step")

    def starts(self, done: int) -> None:
        """The steps begin; so many are done already."""
        self.began, self.resumed_after = time.monotonic(), done

    def stepped(self, row: dict[str, Any]) -> None:
        """A step is done.

        Args:
            row: of `train_log`.
        """
        if not self.is_first_rank:
            return
        step = row["step"]
        left = (time.monotonic() - self.began) / (step - self.resumed_after) * (self.steps - step)
        validation = f", validation loss {row['eval_loss']:.4f}" if row["eval_loss"] is not None else ""
        speed = f"{row['tokens_per_second']:,.0f} tokens/s, about {left:,.0f} s left"
        tell_argo(step, self.steps)
        self._say(f"step {step}/{self.steps}: loss {row['loss']:.4f}{validation}, {speed}")

    def _say(self, message: str) -> None:
        if self.is_first_rank:
            say(message)
