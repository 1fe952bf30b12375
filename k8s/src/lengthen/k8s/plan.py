"""An estimate before a run: the DAG with rows, tokens and GPU-hours for each stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lengthen.common.config.load import Config
from lengthen.common.method.selection import keep_probability
from lengthen.evaluate.benchmark import load_benchmark, load_forgetting, load_ruler
from lengthen.k8s.rates import Rate, assumed, measured
from rich import box
from rich.table import Table

SELECTED = sum(keep_probability(rank, 1000) for rank in range(1, 1001)) / 1000  # share that length-biased selection keeps


@dataclass(frozen=True)
class Step:
    """A node of the DAG with its estimated cost."""

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

    gpus = config.engine.tensor_parallel_size  # of one engine
    engines, trainers = shards * gpus, nodes * config.finetune.runtime.nproc_per_node
    prompts = float(benchmark_rows(config))
    for k in range(iterations + 1):
        if k:
            after = "" if k == 1 else f"iteration {k - 1}"
            proposals = rate("augment", k, config.augment.sampling.max_tokens)
            augment = _step(k, "augment", after, config.augment.instructions, gpus, proposals)
            yield augment
            responses = augment.rows_out * config.generate.responses
            generate = _step(k, "generate", "augment", responses, engines, rate("generate", k, config.generate.sampling.max_tokens), shards)
            yield generate
            drafts = generate.rows_out * config.expand.extensions * (SELECTED if config.expand.length_biased_selection else 1.0)
            expand = _step(k, "expand", "generate", drafts, engines, rate("expand", k, config.expand.sampling.max_tokens), shards)
            yield expand
            selected = expand.rows_out * (SELECTED if config.finetune.length_biased_selection else 1.0)
            for role, limit in (("generator", config.finetune.max_tokens_generator), ("extender", config.finetune.max_tokens_extender)):
                yield _step(k, role, "expand", selected, trainers, rate(role, k, limit), trainers, config.finetune.num_train_epochs)
        scores = rate("evaluate", k, config.evaluate.sampling.max_tokens)
        yield _step(k, "evaluate", "generator" if k else "", prompts, engines, scores, shards)


def _step(k: int, stage: str, after: str, rows: float, gpus: int, rate: Rate, processes: int = 1, epochs: float = 1.0) -> Step:
    tokens = rows * rate.tokens * epochs
    return Step(k, stage, after, rows, rows * rate.yielded, tokens, gpus, tokens / (rate.speed * processes) / 3600, rate.source)


def benchmark_rows(config: Config) -> int:
    """Rows of one evaluation without a --benchmark file: `samples` answers to a prompt, one loss of a given answer."""
    cases = [*load_benchmark(None, config)[0], *load_ruler(config), *load_forgetting(config)]
    return sum(config.evaluate.samples if case.given is None else 1 for case in cases)


def table_of(steps: list[Step]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("iteration", "stage", "after", "rows in", "rows out", "tokens", "GPUs", "hours", "GPU-hours", "rates"):
        table.add_column(name, justify="left" if name in ("stage", "after", "rates") else "right", no_wrap=True)
    for step in steps:
        numbers = (f"{step.rows_in:,.0f}", f"{step.rows_out:,.0f}", f"{step.tokens:,.0f}", str(step.gpus), f"{step.hours:,.2f}")
        table.add_row(str(step.iteration), step.stage, step.after, *numbers, f"{step.gpu_hours:,.1f}", step.source)
    table.add_section()
    total = sum(step.gpu_hours for step in steps)
    table.add_row("", "total", "", "", "", f"{sum(step.tokens for step in steps):,.0f}", "", "", f"{total:,.1f}", "")
    return table
