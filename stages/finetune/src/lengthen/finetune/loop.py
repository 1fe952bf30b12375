"""The training itself: each step is a sum over the answer tokens of its rows, whatever rank has them.

Everything random is drawn from the run's seed, the step's number and the micro-batch's number in it. So a training that
resumes after step n continues exactly as one that was never stopped, and a micro-batch has the same dropout on one rank and
on eight. Another `per_device_train_batch_size` makes other micro-batches, whose dropout differs.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from lengthen.common.method.ids import attempt_seed
from lengthen.finetune import lora, state
from lengthen.finetune.batches import Step, evaluation_micros, training_steps
from lengthen.finetune.checkpoint import TRAINED, prune, publish, step_folder
from lengthen.finetune.engine import check_head, open_engine
from lengthen.finetune.failures import check_diverged
from lengthen.finetune.launch import OUTCOME, STOP
from lengthen.finetune.measure import peak_bytes
from lengthen.finetune.outcome import outcome_of
from lengthen.finetune.progress import TrainingProgress
from lengthen.finetune.schedule import learning_rate
from lengthen.finetune.sequence_parallel import slices
from lengthen.finetune.tokens import TokenData
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed


class Trainer:
    """One rank of a training. `folder` is this machine's own; a file in it asks the rank to stop."""

    def __init__(self, plan: dict[str, Any], folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.rank, self.ranks = distributed.get_rank(), distributed.get_world_size()
        self.sharing, self.rows_per_micro = plan["sequence_parallel_size"], plan["per_device_train_batch_size"]
        self.group, self.groups = self.rank // self.sharing, self.ranks // self.sharing  # the ranks of a group share rows
        self.train = TokenData(Path(plan["train"]))
        self.validation = TokenData(Path(plan["validation"])) if plan["validation"] else None
        epochs, batch = plan["num_train_epochs"], plan["train_batch_size"]
        self.steps = training_steps(self.train.lengths, epochs, batch, self.rows_per_micro, plan["seed"])
        self.engine = open_engine(plan, self.ranks)
        self.progress = TrainingProgress(len(self.steps), self.rank)
        self.log: list[dict[str, Any]] = []
        self.before: float | None = None  # validation loss before the first step
        self.done = 0  # steps

    def run(self) -> dict[str, Any]:
        """Train to the end, or until a stop is requested; returns the outcome."""
        self._resume()
        check_head(self.engine, *self._slice(*(tensor[:, -64:] for tensor in self.train.batch([0], self.engine.device))))
        self.progress.loaded(self.plan, sum(self.train.lengths), self.engine)
        if self.done == 0 and (before := self._evaluate()) is not None:
            self.before = before
            self.progress.evaluated(before)
        self.progress.starts(self.done)
        for number in range(self.done + 1, len(self.steps) + 1):
            stop = self._step(number, self.steps[number - 1])
            if number == len(self.steps):
                break
            if stop or number % self.plan["save_steps"] == 0:
                self._save(number)
            if stop:
                return {"stopped": number}
        return self._finish()

    def _step(self, number: int, step: Step) -> bool:
        """One optimizer step. Returns whether a stop was requested.

        Raises:
            TrainingFailed: the loss or the gradient diverged. All ranks raise it together.
        """
        began, rate = time.monotonic(), self._set_learning_rate(number)
        answers = sum(self.train.answers[row] for row in step.rows)
        total, stop = self._sum_over_ranks(self._accumulate(number, step, answers), float((self.folder / STOP).exists()))
        self._check(number, "loss", total / answers)
        self.engine.step()
        norm = float(self.engine.get_global_grad_norm())
        self._check(number, "gradient norm", norm)
        took, tokens = time.monotonic() - began, sum(self.train.lengths[row] for row in step.rows)
        last_of_epoch = number == len(self.steps) or self.steps[number].epoch != step.epoch
        evaluated = self._evaluate() if last_of_epoch else None
        if evaluated is not None:
            self._check(number, "validation loss", evaluated)
        row = {
            "step": number,
            "epoch": number / math.ceil(len(self.train.lengths) / self.plan["train_batch_size"]),
            "loss": total / answers,
            "eval_loss": evaluated,
            "learning_rate": rate,
            "grad_norm": norm,
            "tokens_per_second": tokens / took,
        }
        self.log.append(row)
        self.progress.stepped(row)
        return bool(stop)

    def _accumulate(self, number: int, step: Step, answers: int) -> float:
        """Add up the gradients of this rank's micro-batches; returns the sum of their losses."""
        total, micros = 0.0, step.share(self.group, self.groups)
        for index, rows in enumerate(micros):
            torch.manual_seed(attempt_seed(self.plan["seed"], f"step-{number}", index * self.ranks + self.rank))
            loss = self.engine(*self._slice(*self.train.batch(rows, self.engine.device)))
            # DeepSpeed takes the mean over ranks: undone here, so that every token of the step has the same weight.
            self.engine.backward(loss * self.ranks / answers, scale_wrt_gas=False)
            total += float(loss.detach())
            if index < len(micros) - 1:
                self.engine.step()  # only counts micro-batches; the optimizer steps after the last one
        return total

    def _slice(self, ids: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """A batch's ids and targets, or this rank's slice of them with its positions, where ranks share rows."""
        if self.sharing == 1:
            return ids, targets, None
        index: int = self.rank % self.sharing
        return slices(ids, targets, self.rows_per_micro, self.sharing)[index]

    def _set_learning_rate(self, number: int) -> float:
        plan = self.plan
        rate = learning_rate(number, len(self.steps), plan["learning_rate"], plan["warmup_ratio"], plan["lr_scheduler_type"])
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _check(self, number: int, name: str, value: float) -> None:
        first = self.log[0]["loss"] if self.log else math.inf
        check_diverged(name, value, f"{number} of {len(self.steps)}", first, self.engine.module.vocabulary)

    def _evaluate(self) -> float | None:
        """Mean loss of the validation rows' answer tokens."""
        if self.validation is None:
            return None
        self.engine.eval()
        total = 0.0
        with torch.no_grad():
            for rows in evaluation_micros(self.validation.lengths, self.rows_per_micro, self.groups)[self.group :: self.groups]:
                total += float(self.engine(*self._slice(*self.validation.batch(rows, self.engine.device))))
        self.engine.train()
        return self._sum_over_ranks(total)[0] / sum(self.validation.answers)

    def _sum_over_ranks(self, *values: float) -> list[float]:
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
        self.progress.resumed(self.done)

    def _save(self, number: int) -> None:
        tensors = state.gather(self.engine)
        if self.rank == 0:
            checkpoints = Path(self.plan["checkpoints"])
            draft = self._new_draft(step_folder(checkpoints, number).name)
            save_file(tensors, draft / "state.safetensors")
            (draft / "progress.json").write_text(json.dumps({"step": number, "log": self.log, "before": self.before}))
            publish(draft, step_folder(checkpoints, number), self.plan["digest"])
            prune(checkpoints)
        distributed.barrier()

    def _finish(self) -> dict[str, Any]:
        adapter = {name.removeprefix("model."): value for name, value in state.weights(self.engine).items()}
        for name, value in adapter.items():  # the last step's loss was that of the weights before it
            self._check(len(self.steps), f"largest weight of {name}", float(value.abs().max()))
        peak = torch.tensor(peak_bytes(), dtype=torch.float64, device=self.engine.device)
        distributed.all_reduce(peak, distributed.ReduceOp.MAX)
        outcome = outcome_of(self.steps, self.train.lengths, self.log, self.before, self.ranks, int(peak))
        if self.rank == 0:
            draft = self._new_draft(TRAINED)
            lora.save(self.engine.module.model, adapter, self.plan, draft)
            (draft / OUTCOME).write_text(json.dumps(outcome))
            publish(draft, Path(self.plan["checkpoints"]) / TRAINED, self.plan["digest"])
        distributed.barrier()
        return outcome

    def _new_draft(self, name: str) -> Path:
        draft = Path(self.plan["scratch"]) / f"{name}.draft"
        draft.mkdir()
        return draft
