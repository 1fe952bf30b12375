"""Read seeds and earlier instructions, grow the pool, write instructions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lengthen.augment.contamination import BenchmarkIndex
from lengthen.augment.figures import FIGURES
from lengthen.augment.grow import Grower, Slot, make_slots
from lengthen.augment.pool import Pool
from lengthen.augment.propose import InstructionPrompts, load_prompts
from lengthen.augment.seeding import Example, load_seeds
from lengthen.common.engine.protocol import Prompt
from lengthen.common.engine.recorded import RecordedEngine
from lengthen.common.method.benchmark.files import benchmarks_digest, read_benchmark
from lengthen.common.process.progress import StageProgress
from lengthen.common.stage.fingerprint import Recipe
from lengthen.common.stage.job import Job
from lengthen.common.stage.rows import record, run_together
from lengthen.common.stage.run import Plan, run_stage, with_engine
from lengthen.common.store.commit import Outcome
from lengthen.common.store.paths import Folder
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import INSTRUCTIONS
from lengthen.common.text.rejection import Rejection


def augment(job: Job, seeds_file: Path | None, earlier: Sequence[Folder], benchmark_files: Sequence[Path], release: bool = False) -> None:
    """The stage. See `__main__`."""
    settings, seeds = job.config.augment, load_seeds(job.config.languages, seeds_file)
    datasets = [open_dataset(folder, INSTRUCTIONS) for folder in earlier]
    benchmarks = [read_benchmark(file) for file in (None, *benchmark_files)]
    rows = job.config.release.instructions if release else settings.instructions
    values = {"seeds": hashlib.sha256(repr(seeds).encode()).hexdigest(), "benchmarks": benchmarks_digest(benchmarks)}
    recipe = Recipe(
        INSTRUCTIONS,
        __name__,
        ("augment",),
        {f"earlier-{n}": dataset for n, dataset in enumerate(datasets, start=1)},
        values | ({"release": str(rows)} if release else {}),
        excluded=("lengthen.augment.figures",),
    )

    def prepare() -> Plan:
        count = min(job.limit or rows, rows)
        index = BenchmarkIndex(benchmarks)
        prompts = {str(language): load_prompts(language) for language in job.config.languages}
        categories = {language: sorted({seed.category for seed in seeds if seed.language == language}) for language in prompts}
        slots = make_slots(job, count, categories, "release" if release else "slot")

        def work(writer: DatasetWriter) -> Outcome:
            async def grow(engine: RecordedEngine) -> None:
                grower = Grower(job, engine, _pool(job, seeds, datasets), index, prompts)
                await _grow(grower, writer, slots)

            with_engine(job, writer, grow, _empty_prompts(prompts))
            return Outcome(count, settings.max_rejected_share, FIGURES)

        return Plan({"rows": count, "at_most_tokens": count * settings.attempts * settings.sampling.max_tokens}, work, replays=True)

    run_stage(job, recipe, prepare)


async def _grow(grower: Grower, writer: DatasetWriter, slots: list[Slot]) -> None:
    with StageProgress("augment", len(slots)) as progress:

        def finished(slot: Slot, outcome: dict[str, Any] | Rejection) -> None:
            record(writer, slot.task, outcome)
            progress.advance()

        await run_together([grower.grow(slots, finished)], writer, progress)


def _pool(job: Job, seeds: list[Example], datasets: list[Dataset]) -> Pool:
    """The seeds and the earlier iterations' instructions. The latter are examples only with `augment.grow_pool`."""
    pool = Pool(job.config.augment.max_similarity)
    for seed in seeds:
        pool.add_known(seed)
        pool.add_example(seed)
    for dataset in datasets:
        for row in dataset.rows(["language", "category", "instruction"]):
            example = Example(row["id"], row["language"], row["category"], row["instruction"])
            pool.add_known(example)
            if job.config.augment.grow_pool:
                pool.add_example(example)
    return pool


def _empty_prompts(prompts: dict[str, InstructionPrompts]) -> list[Prompt]:
    """Every prompt with empty variables, to check how many tokens it leaves for the answer."""
    files = [file for found in prompts.values() for file in (found.propose, found.judge)]
    return [Prompt(file.fill(**dict.fromkeys(file.variables, ""))) for file in files]
