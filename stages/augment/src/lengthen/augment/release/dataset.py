"""Read responses and expansions, collect answers, add a length demand to each instruction, write the dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from lengthen.augment.contamination import BenchmarkIndex
from lengthen.augment.release.answers import read_answers, text_column
from lengthen.augment.release.collect import excluded_rows, held_out, instruction_key
from lengthen.augment.release.figures import FIGURES
from lengthen.augment.release.phrasing import all_phrasings
from lengthen.augment.release.row import RowContext, load_demand_prompts, make_row
from lengthen.common.engine.protocol import Prompt
from lengthen.common.engine.recorded import RecordedEngine
from lengthen.common.method.benchmark.files import benchmarks_digest, read_benchmark
from lengthen.common.method.ids import row_id
from lengthen.common.method.row_check import check_row
from lengthen.common.process.errors import UserError
from lengthen.common.stage.fingerprint import Recipe
from lengthen.common.stage.job import Job
from lengthen.common.stage.rows import make_rows
from lengthen.common.stage.run import Plan, run_stage, with_engine
from lengthen.common.stage.tasks import Task, check_languages
from lengthen.common.store.commit import Outcome
from lengthen.common.store.paths import Folder
from lengthen.common.store.reader import Dataset, open_any, open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import DATASET, EXPANSIONS, RESPONSES, SCORES
from lengthen.common.text.rejection import Rejection


def demands(job: Job, folders: Sequence[Folder], score_folders: Sequence[Folder], benchmark_files: Sequence[Path]) -> None:
    """The stage. See `lengthen.augment.demands`."""
    config, settings = job.config, job.config.release
    datasets, scores = _inputs(folders), [open_dataset(folder, SCORES) for folder in score_folders]
    benchmarks = [read_benchmark(file) for file in (None, *benchmark_files)]
    # The selection settings of expand and finetune also decide which answers are collected.
    selections = [(section.length_biased_selection, section.max_similarity) for section in (config.expand, config.finetune)]
    recipe = Recipe(
        DATASET,
        __name__,
        ("release",),
        {f"{n}": dataset for n, dataset in enumerate(datasets, start=1)}
        | {f"scores-{n}": dataset for n, dataset in enumerate(scores, start=1)},
        {"benchmarks": benchmarks_digest(benchmarks), "selections": str([*selections, config.augment.max_benchmark_overlap])},
        excluded=("lengthen.augment.release.figures",),
    )

    def prepare() -> Plan:
        for dataset in datasets:
            check_languages(job, dataset)
        rows_in = sum(min(job.limit or dataset.manifest.rows_out, dataset.manifest.rows_out) for dataset in datasets)

        def work(writer: DatasetWriter) -> Outcome:
            excluded = excluded_rows(datasets, config, BenchmarkIndex(benchmarks), _grades(scores))
            phrasings = all_phrasings()
            prompts = {language: load_demand_prompts(language) for language in phrasings}
            context = RowContext(job, phrasings, prompts, _test_instructions(job, datasets, excluded))

            async def rows(engine: RecordedEngine) -> None:
                await make_rows(job, engine, writer, _tasks(job, datasets, excluded), rows_in, partial(make_row, context))

            empty = [Prompt(prompt.fill(**dict.fromkeys(prompt.variables, ""))) for found in prompts.values() for prompt in found]
            with_engine(job, writer, rows, empty)
            return Outcome(rows_in, figures=FIGURES)

        return Plan({"rows": rows_in, "at_most_tokens": rows_in * settings.attempts * settings.sampling.max_tokens}, work)

    run_stage(job, recipe, prepare)


def _inputs(folders: Sequence[Folder]) -> list[Dataset]:
    """Open the inputs.

    Raises:
        UserError: one is neither responses nor expansions, or two have the same rows.
    """
    found: dict[str, Dataset] = {}
    for folder in folders:
        dataset = open_any(folder)
        if dataset.table not in (RESPONSES, EXPANSIONS):
            raise UserError(f"--input {folder} has the table {dataset.table.name}; give responses or expansions")
        if other := found.get(dataset.manifest.content_digest):
            raise UserError(f"--input {folder} and --input {other.folder} have the same rows; give only one of them")
        found[dataset.manifest.content_digest] = dataset
    return list(found.values())


def _grades(scores: list[Dataset]) -> dict[str, float]:
    """The mean grade of each row that a judge graded (`evaluate --input`), by the row's id."""
    columns = ["part", "prompt_id", "quality"]
    rows = (row for dataset in scores for row in dataset.rows(columns))
    return {row["prompt_id"]: row["quality"] for row in rows if row["part"] == "data" and row["quality"] is not None}


def _test_instructions(job: Job, datasets: list[Dataset], excluded: dict[str, Rejection]) -> set[str]:
    answers = (answer for dataset in datasets for answer in read_answers(dataset))
    collected = {instruction_key(answer.instruction) for answer in answers if answer.id not in excluded}
    return held_out(collected, job.config.release.test_share, job.config.seed)


def _tasks(job: Job, datasets: list[Dataset], excluded: dict[str, Rejection]) -> Iterator[Task[dict[str, Any]]]:
    """Every row of every input. Ids depend only on the answer's id: a later release gives a row the same demand."""
    for dataset in datasets:
        text = text_column(dataset)
        for row in islice(dataset.rows(), job.limit):
            rejection = check_row(dataset.table, row, job.config.model.max_model_len) or excluded.get(row["id"])
            answer = row | {"text": row[text], "source": dataset.table.name, "source_id": row["id"]}
            yield Task(row_id(job.stage, 0, row["id"], 0), row["id"], 0, answer, rejection)
