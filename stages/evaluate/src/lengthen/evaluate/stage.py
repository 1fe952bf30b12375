"""Read a benchmark, answer and score its prompts, write scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lengthen.common.engine.protocol import Engine
from lengthen.common.ids import row_id
from lengthen.common.job import Job
from lengthen.common.rows import Rejection, Work, run_rows
from lengthen.common.tables import SCORES
from lengthen.evaluate.benchmark import Benchmark, BenchmarkPrompt, load_benchmark
from lengthen.evaluate.score import answer_and_score

METHOD = 2  # raise it when the same settings give other rows than before


def evaluate(job: Job, adapter: Path | None, benchmark_file: Path | None) -> None:
    """The stage. See `__main__`."""
    benchmark = load_benchmark(benchmark_file)
    model = job.open_model()
    adapter_digest = job.open_adapter(adapter, model)
    origin = job.origin(METHOD, model, ["evaluate"], {"benchmark": benchmark.digest}, {})
    if job.is_complete(origin):
        return
    prompts = job.limited(benchmark.prompts)
    settings = job.config.evaluate
    works = [work for work in _works(prompts, benchmark, settings.samples) if job.takes(work.id)]
    rows_in = len(works)
    if job.dry_run:
        job.say_plan(rows=rows_in, at_most_tokens=rows_in * settings.sampling.max_tokens)
        return
    constants = {"benchmark": benchmark.name, "judge": None, "adapter": adapter_digest, "iteration": job.iteration, "model": model.name}
    with job.writer(SCORES, origin) as writer:

        def work(engine: Engine) -> None:
            async def make(item: Work[BenchmarkPrompt]) -> dict[str, Any] | Rejection:
                return await answer_and_score(item, engine, job, writer.calls) | constants

            run_rows(job, works, rows_in, make, writer)

        job.with_engine(work, [])
        figures = {f"mean_{name}": writer.mean(name) for name in ("words", "length_score", "repetition")}
        job.say_result(writer.commit(rows_in, figures))


def _works(prompts: list[BenchmarkPrompt], benchmark: Benchmark, samples: int) -> Iterator[Work[BenchmarkPrompt]]:
    """Ids without the iteration: two models answer a prompt with the same seeds, so that they can be compared in pairs."""
    for prompt in prompts:
        for sample in range(samples):
            yield Work(row_id("evaluate", 0, f"{benchmark.name}/{prompt.id}", sample), prompt.id, sample, prompt)
