"""The training itself: steps, each a sum over the answer tokens of its rows, whatever rank has them.

Everything random is drawn from the run's seed and the step's number, so a run that resumes after step n goes on exactly as
one that was never stopped, and the same batch drops the same values on one rank and on eight.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from lengthen.common.ids import attempt_seed
from lengthen.common.progress import say, tell_argo
from lengthen.finetune import lora, state
from lengthen.finetune.batches import Step, evaluation_micros, training_steps
from lengthen.finetune.checkpoint import TRAINED, prune, publish, step_folder
from lengthen.finetune.engine import check_head, open_engine, peak_bytes, product_speed, weights
from lengthen.finetune.estimate import seconds
from lengthen.finetune.failures import judge
from lengthen.finetune.launch import STOP
from lengthen.finetune.outcome import outcome_of
from lengthen.finetune.schedule import learning_rate
from lengthen.finetune.sharing import slices
from lengthen.finetune.tokens import TokenData
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed


class Trainer:
    """One rank of a training. `folder` is this machine's own, for being told to stop."""

    def __init__(self, plan: dict[str, Any], folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.rank, self.ranks = distributed.get_rank(), distributed.get_world_size()
        self.sharing = plan["sequence_parallel"]
        self.group, self.groups = self.rank // self.sharing, self.ranks // self.sharing  # the ranks of a group share rows
        self.train = TokenData(Path(plan["train"]))
        self.validation = TokenData(Path(plan["validation"])) if plan["validation"] else None
        self.steps = training_steps(self.train.lengths, plan["epochs"], plan["rows_per_step"], plan["rows_per_device"], plan["seed"])
        self.engine = open_engine(plan, self.ranks)
        self.log: list[dict[str, Any]] = []
        self.before: float | None = None  # validation loss before the first step
        self.done, self.began = 0, time.monotonic()

    def run(self) -> dict[str, Any]:
        """Train to the end, or until told to stop; returns the outcome."""
        self._resume()
        check_head(self.engine, *self._mine(*(tensor[:, -64:] for tensor in self.train.batch([0], self.engine.device))))
        about = seconds(self.plan, sum(self.train.lengths), weights(self.engine), product_speed(self.engine))
        span = f"{about / 60:,.0f} min" if about >= 120 else f"{about:.0f} s"
        self._say(f"finetune: about {span} on {self.engine.device.type}, going by its matrix products")
        if self.done == 0 and (before := self._evaluate()) is not None:
            self.before = before
            self._say(f"finetune: validation loss {before:.4f} before the first step")
        self.began = time.monotonic()
        for number in range(self.done + 1, len(self.steps) + 1):
            stop = self._step(number, self.steps[number - 1])
            if number == len(self.steps):
                break
            if stop or number % self.plan["checkpoint_steps"] == 0:
                self._save(number)
            if stop:
                return {"stopped": number}
        return self._finish()

    def _step(self, number: int, step: Step) -> bool:
        """One optimizer step. Returns whether somebody asked to stop.

        Raises:
            Failed: the loss or the gradient is no number, or exploded. All ranks raise it together.
        """
        began, rate = time.monotonic(), self._set_rate(number)
        answers = sum(self.train.answers[row] for row in step.rows)
        total, share = 0.0, step.share(self.group, self.groups)
        for place, rows in enumerate(share):
            torch.manual_seed(attempt_seed(self.plan["seed"], f"step-{number}", place * self.ranks + self.rank))
            loss = self.engine(*self._mine(*self.train.batch(rows, self.engine.device)))
            # DeepSpeed takes the mean over ranks: undone here, so that every token of the step weighs the same.
            self.engine.backward(loss * self.ranks / answers, scale_wrt_gas=False)
            total += float(loss.detach())
            if place < len(share) - 1:
                self.engine.step()  # only counts
        total, stop = self._summed(total, float((self.folder / STOP).exists()))
        self._judge(number, "loss", total / answers)
        self.engine.step()
        norm = float(self.engine.get_global_grad_norm())
        self._judge(number, "gradient norm", norm)
        took, tokens = time.monotonic() - began, sum(self.train.lengths[row] for row in step.rows)
        last_of_epoch = number == len(self.steps) or self.steps[number].epoch != step.epoch
        evaluated = self._evaluate() if last_of_epoch else None
        if evaluated is not None:
            self._judge(number, "validation loss", evaluated)
        row = {
            "step": number,
            "epoch": number / math.ceil(len(self.train.lengths) / self.plan["rows_per_step"]),
            "loss": total / answers,
            "eval_loss": evaluated,
            "learning_rate": rate,
            "grad_norm": norm,
            "tokens_per_second": tokens / took,
        }
        self.log.append(row)
        self._tell(row)
        return bool(stop)

    def _mine(self, ids: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """A batch's ids and targets, or this rank's slice of them with its positions, where ranks share rows."""
        if self.sharing == 1:
            return ids, targets, None
        place: int = self.rank % self.sharing
        return slices(ids, targets, self.plan["rows_per_device"], self.sharing)[place]

    def _set_rate(self, number: int) -> float:
        plan = self.plan
        rate = learning_rate(number, len(self.steps), plan["learning_rate"], plan["warmup_ratio"], plan["scheduler"])
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _judge(self, number: int, name: str, value: float) -> None:
        first = self.log[0]["loss"] if self.log else math.inf
        judge(name, value, f"{number} of {len(self.steps)}", first, self.engine.module.vocabulary)

    def _evaluate(self) -> float | None:
        """Mean loss of the validation rows' answer tokens."""
        if self.validation is None:
            return None
        self.engine.eval()
        total = 0.0
        with torch.no_grad():
            for rows in evaluation_micros(self.validation.lengths, self.plan["rows_per_device"], self.groups)[self.group :: self.groups]:
                total += float(self.engine(*self._mine(*self.validation.batch(rows, self.engine.device))))
        self.engine.train()
        return self._summed(total)[0] / sum(self.validation.answers)

    def _summed(self, *values: float) -> list[float]:
        """Over all ranks."""
        tensor = torch.tensor(values, dtype=torch.float64, device=self.engine.device)
        distributed.all_reduce(tensor)
        return [float(value) for value in tensor]

    def _resume(self) -> None:
        if not self.plan["resume"]:
            return
        folder = Path(self.plan["resume"])
        progress = json.loads((folder / "progress.json").read_text())
        state.restore(self.engine, load_file(folder / "state.safetensors"), progress["step"])
        self.log, self.done, self.before = progress["log"], progress["step"], progress["before"]
        self._say(f"finetune: goes on after step {self.done} of {len(self.steps)}")

    def _save(self, number: int) -> None:
        tensors = state.gather(self.engine)
        if self.rank == 0:
            checkpoints = Path(self.plan["checkpoints"])
            draft = self._draft(step_folder(checkpoints, number).name)
            save_file(tensors, draft / "state.safetensors")
            (draft / "progress.json").write_text(json.dumps({"step": number, "log": self.log, "before": self.before}))
            publish(draft, step_folder(checkpoints, number), self.plan["digest"])
            prune(checkpoints)
        distributed.barrier()

    def _finish(self) -> dict[str, Any]:
        adapter = {name.removeprefix("model."): value for name, value in state.weights(self.engine).items()}
        for name, value in adapter.items():  # the last step's own loss was that of the weights before it
            self._judge(len(self.steps), f"largest weight of {name}", float(value.abs().max()))
        peak = torch.tensor(peak_bytes(), dtype=torch.float64, device=self.engine.device)
        distributed.all_reduce(peak, distributed.ReduceOp.MAX)
        outcome = outcome_of(self.steps, self.train.lengths, self.log, self.before, self.ranks, int(peak))
        if self.rank == 0:
            draft = self._draft(TRAINED)
            lora.save(self.engine.module.model, adapter, self.plan, draft)
            (draft / "outcome.json").write_text(json.dumps(outcome))
            publish(draft, Path(self.plan["checkpoints"]) / TRAINED, self.plan["digest"])
        distributed.barrier()
        return outcome

    def _draft(self, name: str) -> Path:
        draft = Path(self.plan["scratch"]) / f"{name}.draft"
        draft.mkdir()
        return draft

    def _tell(self, row: dict[str, Any]) -> None:
        left = (time.monotonic() - self.began) / (row["step"] - self.done) * (len(self.steps) - row["step"])
        evaluated = f", validation loss {row['eval_loss']:.4f}" if row["eval_loss"] is not None else ""
        speed = f"{row['tokens_per_second']:,.0f} tokens/s, about {left:,.0f} s left"
        if self.rank == 0:
            tell_argo(row["step"], len(self.steps))
        self._say(f"step {row['step']}/{len(self.steps)}: loss {row['loss']:.4f}{evaluated}, {speed}")

    def _say(self, message: str) -> None:
        if self.rank == 0:
            say(message)
