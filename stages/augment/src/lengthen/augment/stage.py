"""Read seeds and earlier instructions, grow the pool, write instructions."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from lengthen.augment.contamination import Contamination
from lengthen.augment.grow import Grower, Slot, slots
from lengthen.augment.pool import Pool
from lengthen.augment.propose import Asking
from lengthen.augment.seeding import Example, load_seeds
from lengthen.augment.wording import load_wording
from lengthen.common.benchmark import BenchmarkFile, read_benchmark
from lengthen.common.engine.protocol import Engine, Prompt
from lengthen.common.ids import text_digest
from lengthen.common.job import Job
from lengthen.common.progress import StageProgress
from lengthen.common.promptfile import PromptFile, load_prompt
from lengthen.common.report import yield_figures
from lengthen.common.rows import Rejection, record, run_tasks
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables import INSTRUCTIONS
from lengthen.common.text.diversity import distinct, mean_similarity
from lengthen.common.text.words import count_words

METHOD = 3  # raise it when the same settings give other rows than before


def augment(job: Job, seeds_file: Path | None, earlier: list[Path], benchmark_files: list[Path], release: bool = False) -> None:
    """The stage. See `__main__`."""
    seeds = load_seeds(job.config.languages, seeds_file)
    datasets = [open_dataset(folder, INSTRUCTIONS) for folder in earlier]
    benchmarks = [read_benchmark(file) for file in (None, *benchmark_files)]
    model = job.open_model()
    asking = {str(language): _asking(language) for language in job.config.languages}
    wanted = job.config.release.instructions if release else job.config.augment.instructions
    inputs = _inputs(job, seeds, datasets, benchmarks, asking) | ({"release": str(wanted)} if release else {})
    origin = job.origin(METHOD, model, ["augment"], inputs, _prompts(asking))
    if job.is_complete(origin):
        return
    settings, contamination = job.config.augment, Contamination(benchmarks)
    count = min(job.limit or wanted, wanted)
    if job.dry_run:
        job.say_plan(rows=count, at_most_tokens=count * settings.attempts * settings.sampling.max_tokens)
        return
    categories = {language: sorted({seed.category for seed in seeds if seed.language == language}) for language in asking}
    open_slots = slots(job, count, categories, "release" if release else "slot")
    with job.writer(INSTRUCTIONS, origin, replays=True) as writer:

        def work(engine: Engine) -> None:
            grower = Grower(job, engine, writer.calls, _pool(job, seeds, datasets), contamination, asking)
            asyncio.run(_grow(grower, writer, open_slots, {"iteration": job.iteration, "model": model.name}))

        job.with_engine(work, [Prompt(prompt.fill(**dict.fromkeys(prompt.variables, ""))) for prompt in _prompts(asking).values()])
        tokens = sum(slot.tokens for slot in open_slots)
        job.say_result(writer.commit(count, _figures(writer, open_slots, job.config.seed), settings.max_rejected_share, tokens=tokens))


def _inputs(
    job: Job, seeds: list[Example], datasets: list[Dataset], benchmarks: list[BenchmarkFile], asking: dict[str, Asking]
) -> dict[str, str]:
    """What decides the rows beside the config, as digests. The order of benchmarks is none."""
    inputs = {"seeds": hashlib.sha256(repr(seeds).encode()).hexdigest()}
    inputs |= {f"earlier-{n}": job.note_input(f"earlier-{n}", dataset) for n, dataset in enumerate(datasets, start=1)}
    inputs["benchmarks"] = text_digest("\n".join(sorted({benchmark.digest for benchmark in benchmarks})))
    return inputs | {f"wording.{language}": found.wording.digest for language, found in asking.items()}


async def _grow(grower: Grower, writer: DatasetWriter, open_slots: list[Slot], constants: dict[str, Any]) -> None:
    with StageProgress("augment", len(open_slots)) as progress:

        def finished(slot: Slot, outcome: dict[str, Any] | Rejection) -> None:
            if isinstance(outcome, Rejection):
                record(writer, slot.work, outcome)
            else:
                writer.add({"id": slot.work.id, **outcome, **constants})
            progress.advance()

        async def waves() -> None:
            still = open_slots
            while still:
                still = await grower.wave(still, finished)

        await run_tasks([waves()], writer, progress)


def _pool(job: Job, seeds: list[Example], datasets: list[Dataset]) -> Pool:
    """The seeds as examples; earlier iterations' instructions too where the pool grows. None of them is to be repeated."""
    pool = Pool(job.config.augment.max_similarity)
    for seed in seeds:
        pool.remember(seed)
        pool.show(seed)
    for dataset in datasets:
        for row in dataset.rows(["language", "category", "instruction"]):
            example = Example(row["id"], row["language"], row["category"], row["instruction"])
            pool.remember(example)
            if job.config.augment.grow_pool:
                pool.show(example)
    return pool


def _asking(language: str) -> Asking:
    propose = load_prompt("lengthen.augment", f"propose.{language}.txt", {"examples"})
    judge = load_prompt("lengthen.augment", f"judge.{language}.txt", {"instruction"})
    return Asking(propose, judge, load_wording(language))


def _prompts(asking: dict[str, Asking]) -> dict[str, PromptFile]:
    proposing = {f"propose.{language}": found.propose for language, found in asking.items()}
    return proposing | {f"judge.{language}": found.judge for language, found in asking.items()}


def _figures(writer: DatasetWriter, all_slots: list[Slot], seed: int) -> dict[str, Any]:
    """What came of it, and how varied it is."""
    rows = dict(zip(writer.column("id").to_pylist(), writer.column("instruction").to_pylist(), strict=True))
    texts = [rows[id_] for id_ in sorted(rows)]
    accepted = [slot for slot in all_slots if slot.work.id in rows]
    spent = sum(slot.tokens for slot in all_slots)
    return yield_figures([count_words(text) for text in texts], spent, [slot.attempts for slot in accepted]) | {
        "distinct_2": distinct(texts, 2),
        "mean_similarity": mean_similarity(texts, seed),
        "categories": dict(Counter(slot.category or "none" for slot in accepted)),
        "languages": dict(Counter(slot.work.source for slot in accepted)),
    }
