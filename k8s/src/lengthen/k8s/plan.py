"""Before a run: the DAG with rows, tokens and GPU-hours by stage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from lengthen.common.config import Config
from lengthen.common.selection import keep_probability
from lengthen.k8s.rates import Rate, assumed, measured
from rich import box
from rich.table import Table

SURVIVING = sum(keep_probability(rank, 1000) for rank in range(1, 1001)) / 1000  # share that length-biased selection keeps


@dataclass(frozen=True)
class Step:
    """A node of the DAG and what it would take."""

    iteration: int
    stage: str
    after: str
    rows_in: float
    rows_out: float
    tokens: float
    gpus: int
    hours: float
    source: str

    @property
    def gpu_hours(self) -> float:
        return self.gpus * self.hours


def plan(config: Config, iterations: int, shards: int, nodes: int, run: Path | None) -> list[Step]:
    """Every step up to iteration `iterations`, in the order of the DAG."""
    return list(_steps(config, iterations, shards, nodes, run))


def _steps(config: Config, iterations: int, shards: int, nodes: int, run: Path | None) -> Iterator[Step]:
    def rate(stage: str, iteration: int, max_tokens: int) -> Rate:
        return (measured(run, stage, iteration) if run else None) or assumed(stage, iteration, max_tokens)

    engines, trainers = shards * config.engine.tensor_parallel, nodes * config.finetune.processes
    prompts = float(benchmark_rows(config))
    for k in range(iterations + 1):
        if k:
            rows = config.augment.instructions
            after, proposals = "" if k == 1 else f"iteration {k - 1}", rate("augment", k, config.augment.sampling.max_tokens)
            one = _step(k, "augment", after, rows, config.engine.tensor_parallel, proposals)
            yield one
            answers = one.rows_out * config.generate.responses
            two = _step(k, "generate", "augment", answers, engines, rate("generate", k, config.generate.sampling.max_tokens), shards)
            yield two
            drafts = two.rows_out * config.expand.extensions * (SURVIVING if config.expand.length_biased_selection else 1.0)
            three = _step(k, "expand", "generate", drafts, engines, rate("expand", k, config.expand.sampling.max_tokens), shards)
            yield three
            kept = three.rows_out * (SURVIVING if config.finetune.length_biased_selection else 1.0)
            for role, limit in (("generator", config.finetune.max_tokens_generator), ("extender", config.finetune.max_tokens_extender)):
                yield _step(k, role, "expand", kept, trainers, rate(role, k, limit), trainers, config.finetune.epochs)
        scores = rate("evaluate", k, config.evaluate.sampling.max_tokens)
        yield _step(k, "evaluate", "generator" if k else "", prompts, engines, scores, shards)


def _step(k: int, stage: str, after: str, rows: float, gpus: int, rate: Rate, processes: int = 1, epochs: float = 1.0) -> Step:
    tokens = rows * rate.tokens * epochs
    return Step(k, stage, after, rows, rows * rate.yielded, tokens, gpus, tokens / (rate.speed * processes) / 3600, rate.source)


def benchmark_rows(config: Config) -> int:
    """Of the built-in benchmark, ruler and guard, in the config's languages."""
    folder = resources.files("lengthen.common") / "benchmarks"

    def count(name: str) -> int:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        return sum(json.loads(line)["language"] in config.languages for line in lines)

    guard = count("guard.jsonl") if config.evaluate.guard else 0
    return (count("builtin.jsonl") + count("ruler.jsonl") * len(config.evaluate.ruler) + guard) * config.evaluate.samples


def table_of(steps: list[Step]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("iteration", "stage", "after", "rows in", "rows out", "tokens", "GPUs", "hours", "GPU-hours", "rates"):
        table.add_column(name, justify="left" if name in ("stage", "after", "rates") else "right", no_wrap=True)
    for step in steps:
        numbers = (f"{step.rows_in:,.0f}", f"{step.rows_out:,.0f}", f"{step.tokens:,.0f}", str(step.gpus), f"{step.hours:,.2f}")
        table.add_row(str(step.iteration), step.stage, step.after, *numbers, f"{step.gpu_hours:,.1f}", step.source)
    table.add_section()
    total = sum(step.gpu_hours for step in steps)
    table.add_row("", "together", "", "", "", f"{sum(step.tokens for step in steps):,.0f}", "", "", f"{total:,.1f}", "")
    return table
