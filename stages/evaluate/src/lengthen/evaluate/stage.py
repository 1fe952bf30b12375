"""Read prompts or training data, answer the prompts, score the texts, write scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lengthen.common.config.stages import Judge
from lengthen.common.engine.recorded import RecordedEngine
from lengthen.common.method.ids import row_id
from lengthen.common.process.errors import UserError
from lengthen.common.process.progress import say
from lengthen.common.stage.fingerprint import Recipe
from lengthen.common.stage.job import Job
from lengthen.common.stage.rows import make_rows
from lengthen.common.stage.run import Plan, run_stage, with_engine
from lengthen.common.stage.tasks import Task
from lengthen.common.store.commit import Outcome
from lengthen.common.store.manifest import Manifest
from lengthen.common.store.paths import Folder
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import EXPANSIONS, SCORES
from lengthen.evaluate.benchmark import load_benchmark, load_forgetting, load_ruler
from lengthen.evaluate.data import sample_rows
from lengthen.evaluate.figures import FIGURES
from lengthen.evaluate.item import EvaluationItem, evenly_spaced
from lengthen.evaluate.judge.engine import EngineJudge
from lengthen.evaluate.judge.judging import TextJudge, load_judge_prompts
from lengthen.evaluate.judge.protocol import JudgeModel
from lengthen.evaluate.score import answer_and_score


def evaluate(job: Job, benchmark: Path | None, data: Folder | None) -> None:
    """The stage. See `__main__`."""
    if data and (benchmark or job.adapter):
        raise UserError("--input scores existing training data; it cannot be combined with --benchmark or --adapter")
    settings, dataset = job.config.evaluate, open_dataset(data, EXPANSIONS) if data else None
    items, digests = (_data(job, dataset), {}) if dataset else _prompts(job, benchmark)
    judge_settings = settings.judge
    recipe = Recipe(
        SCORES,
        __name__,
        ("evaluate",),
        {"expansions": dataset} if dataset else {},
        digests,
        excluded=("lengthen.evaluate.figures",),
    )

    def prepare() -> Plan:
        todo = [task for task in _tasks(items, settings.samples) if job.includes(task.id)]
        answers = sum(task.source.given is None for task in todo)
        is_self_judge = judge_settings is not None and judge_settings.url is None

        def work(writer: DatasetWriter) -> Outcome:
            say(f"{job.name}: {_description(items)}")

            async def scores(engine: RecordedEngine) -> None:
                judge = _judge(job, judge_settings, engine) if judge_settings else None
                # The longest first, so that no long answer begins at the end, when the engine has nothing else to do.
                ordered = sorted(todo, key=lambda task: -task.source.demand.target if task.source.demand else 0)
                await make_rows(job, engine, writer, ordered, len(todo), partial(answer_and_score, job, judge))

            with_engine(job, writer, scores, with_base=is_self_judge, needs_engine=not data or is_self_judge)
            return Outcome(len(todo), figures=FIGURES)

        return Plan({"rows": len(todo), "at_most_tokens": answers * settings.sampling.max_tokens}, work, after=_say_judge)

    run_stage(job, recipe, prepare)


def _prompts(job: Job, benchmark: Path | None) -> tuple[list[EvaluationItem], dict[str, str]]:
    """The items of every part, at most --limit of each, and the digest of the benchmark."""
    found, digest = load_benchmark(benchmark, job.config)
    parts = (found, load_ruler(job.config), load_forgetting(job.config))
    return [item for part in parts if part for item in evenly_spaced(part, job.limit)], {"benchmark": digest}


def _data(job: Job, dataset: Dataset) -> list[EvaluationItem]:
    count = min(job.limit or job.config.evaluate.data_rows, job.config.evaluate.data_rows)
    return sample_rows(dataset, count, job.config.seed)


def _tasks(items: list[EvaluationItem], samples: int) -> Iterator[Task[EvaluationItem]]:
    """The tasks of every item.

    Ids do not depend on the iteration: two models answer a prompt with the same seeds, so they can be compared in pairs.
    They depend on the prompt's text: with other `evaluate.lengths` a built-in prompt is another prompt.
    """
    for item in items:
        for sample in range(samples if item.given is None else 1):
            yield Task(row_id("evaluate", 0, f"{item.part}/{item.benchmark}/{item.id}/{item.prompt}", sample), item.id, sample, item)


def _judge(job: Job, settings: Judge, engine: RecordedEngine) -> TextJudge:
    return TextJudge(_judge_model(job, settings, engine), settings, load_judge_prompts(), job.config.seed)


def _judge_model(job: Job, settings: Judge, engine: RecordedEngine) -> JudgeModel:
    if engine.engine is not None and settings.url is None:
        return EngineJudge(engine.engine, settings, job.model.name, job.config.model.max_model_len)
    from lengthen.evaluate.judge.endpoint import EndpointJudge

    return EndpointJudge(settings)


def _description(items: list[EvaluationItem]) -> str:
    """Such as `240 of longen (LonGen; en 120, zh 120), 20 of forgetting (ours; en 20)`."""
    groups: dict[tuple[str, str], Counter[str]] = {}
    for item in items:
        groups.setdefault((item.benchmark, item.format), Counter())[item.language] += 1
    return ", ".join(
        f"{languages.total()} of {name} ({form}; {', '.join(f'{language} {count}' for language, count in sorted(languages.items()))})"
        for (name, form), languages in groups.items()
    )


def _say_judge(manifest: Manifest) -> None:
    if judge := manifest.summary.get("judge"):
        missing = f", {judge['without_score']} without grades (see judge_note)" if judge["without_score"] else ""
        usage = f"{judge['input_tokens']:,} input tokens, {judge['output_tokens']:,} output tokens, cost {judge['cost']:.4g}"
        say(f"evaluate: {judge['judged']} texts judged by {judge['name']}{missing}; {usage}")
