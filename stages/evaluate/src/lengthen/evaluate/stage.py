"""Read prompts or training data, answer and score them, write scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lengthen.common.engine.protocol import Engine
from lengthen.common.errors import UserError
from lengthen.common.ids import row_id
from lengthen.common.job import Job
from lengthen.common.progress import say
from lengthen.common.rows import Rejection, Work, run_rows
from lengthen.common.score_figures import FIGURE_COLUMNS, score_figures
from lengthen.common.settings import Judge
from lengthen.common.store.manifest import Manifest
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables import EXPANSIONS, SCORES
from lengthen.evaluate.benchmark import load_benchmark, load_guard, load_ruler
from lengthen.evaluate.case import Case, spread
from lengthen.evaluate.data import sampled
from lengthen.evaluate.judge.asked import AskedJudge
from lengthen.evaluate.judge.engine import EngineJudge
from lengthen.evaluate.judge.judging import Judging, load_judge_prompts
from lengthen.evaluate.score import answer_and_score

METHOD = 3  # raise it when the same settings give other rows than before


def evaluate(job: Job, adapter: Path | None, benchmark: Path | None, data: Path | None) -> None:
    """The stage. See `__main__`."""
    if data and (benchmark or adapter):
        raise UserError("--input scores training data as it is; --benchmark and --adapter don't go with it")
    cases, inputs = _data(job, data) if data else _prompts(job, benchmark)
    model = job.open_model()
    adapter_digest = job.open_adapter(adapter, model)
    judge, samples = job.config.evaluate.judge, job.config.evaluate.samples
    judge_prompts = load_judge_prompts() if judge else {}
    origin = job.origin(METHOD, model, ["evaluate"], inputs, {f"judge.{name}": prompt for name, prompt in judge_prompts.items()})
    if job.is_complete(origin):
        return
    works = [work for work in _works(cases, samples) if job.takes(work.id)]
    if job.dry_run:
        answers = sum(work.source.given is None for work in works)
        job.say_plan(rows=len(works), at_most_tokens=answers * job.config.evaluate.sampling.max_tokens)
        return
    say("evaluate: " + _described(cases))
    constants = {"adapter": adapter_digest, "iteration": job.iteration, "model": model.name}
    with job.writer(SCORES, origin) as writer:

        def work(engine: Engine | None) -> None:
            judging = Judging(_asked(job, judge, engine, model.name), judge, judge_prompts, job.config.seed) if judge else None

            async def make(item: Work[Case]) -> dict[str, Any] | Rejection:
                return await answer_and_score(item, engine, job, writer.calls, judging) | constants

            run_rows(job, works, len(works), make, writer)

        judges_itself = judge is not None and judge.url is None
        if data and not judges_itself:
            work(None)
        else:
            job.with_engine(work, [], with_base=judges_itself)
        _say_result(job, writer.commit(len(works), score_figures(_rows(writer))))


def _prompts(job: Job, benchmark: Path | None) -> tuple[list[Case], dict[str, str]]:
    """Benchmark, ruler and guard, at most --limit of each, and the digests of their files."""
    loaded = {"benchmark": load_benchmark(benchmark, job.config), "ruler": load_ruler(job.config), "guard": load_guard(job.config)}
    cases = [case for found, _ in loaded.values() if found for case in spread(found, job.limit)]
    return cases, {name: digest for name, (_, digest) in loaded.items()}


def _data(job: Job, folder: Path) -> tuple[list[Case], dict[str, str]]:
    dataset = open_dataset(folder, EXPANSIONS)
    count = min(job.limit or job.config.evaluate.data_rows, job.config.evaluate.data_rows)
    return sampled(dataset, count, job.config.seed), {"expansions": job.note_input("expansions", dataset)}


def _works(cases: list[Case], samples: int) -> Iterator[Work[Case]]:
    """Ids without the iteration: two models answer a prompt with the same seeds, so that they can be compared in pairs.

    The prompt itself is part of the id: the built-in one of another length is another prompt.
    """
    for case in cases:
        for sample in range(samples if case.given is None else 1):
            yield Work(row_id("evaluate", 0, f"{case.part}/{case.benchmark}/{case.id}/{case.prompt}", sample), case.id, sample, case)


def _asked(job: Job, judge: Judge, engine: Engine | None, model: str) -> AskedJudge:
    if engine is not None and judge.url is None:
        return EngineJudge(engine, judge, model, job.config.model.context_tokens)
    from lengthen.evaluate.judge.endpoint import EndpointJudge

    return EndpointJudge(judge)


def _rows(writer: DatasetWriter) -> list[dict[str, Any]]:
    columns = [writer.column(name).to_pylist() for name in FIGURE_COLUMNS]
    return [dict(zip(FIGURE_COLUMNS, values, strict=True)) for values in zip(*columns, strict=True)]


def _described(cases: list[Case]) -> str:
    """Such as `240 prompts of longen (LonGen; en 120, zh 120), 20 of guard (…)`."""
    groups: dict[tuple[str, str], Counter[str]] = {}
    for case in cases:
        groups.setdefault((case.benchmark, case.format), Counter())[case.language] += 1
    return ", ".join(
        f"{languages.total()} of {name} ({form}; {', '.join(f'{language} {count}' for language, count in sorted(languages.items()))})"
        for (name, form), languages in groups.items()
    )


def _say_result(job: Job, manifest: Manifest) -> None:
    job.say_result(manifest)
    if judge := manifest.summary.get("judge"):
        lost = f", {judge['without_score']} without a score (judge_note says why)" if judge["without_score"] else ""
        spent = f"{judge['input_tokens']:,} tokens in, {judge['output_tokens']:,} out, cost {judge['cost']:.4g}"
        say(f"evaluate: {judge['judged']} texts judged by {judge['name']}{lost}; {spent}")
