"""Read seeds and earlier instructions, grow the pool, write instructions."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

from lengthen.augment.grow import Grower, Slot, slots
from lengthen.augment.pool import Pool
from lengthen.augment.seeding import Example, load_seeds
from lengthen.common.engine.protocol import Engine, Prompt
from lengthen.common.job import Job
from lengthen.common.progress import StageProgress
from lengthen.common.promptfile import PromptFile, load_prompt
from lengthen.common.rows import Rejection, record, run_tasks
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables import INSTRUCTIONS

METHOD = 1  # raise it when the same settings give other rows than before


def augment(job: Job, seeds_file: Path | None, earlier: list[Path]) -> None:
    """The stage. See `__main__`."""
    seeds = load_seeds(job.config.languages, seeds_file)
    datasets = [open_dataset(folder, INSTRUCTIONS) for folder in earlier]
    model = job.open_model()
    prompts = _prompts(job)
    inputs = {"seeds": hashlib.sha256(repr(seeds).encode()).hexdigest()}
    inputs |= {f"earlier-{n}": job.note_input(f"earlier-{n}", dataset) for n, dataset in enumerate(datasets, start=1)}
    origin = job.origin(METHOD, model, ["augment"], inputs, prompts)
    if job.is_complete(origin):
        return
    settings = job.config.augment
    count = min(job.limit or settings.instructions, settings.instructions)
    if job.dry_run:
        job.say_plan(rows=count, at_most_tokens=count * settings.attempts * settings.sampling.max_tokens)
        return
    constants = {"iteration": job.iteration, "model": model.name}
    all_slots = slots(job, count)
    with job.writer(INSTRUCTIONS, origin, replays=True) as writer:

        def work(engine: Engine) -> None:
            asyncio.run(_grow(job, engine, _pool(job, seeds, datasets), prompts, writer, all_slots, constants))

        job.with_engine(work, [Prompt(prompt.fill(**dict.fromkeys(prompt.variables, ""))) for prompt in prompts.values()])
        tokens = sum(slot.tokens for slot in all_slots)
        job.say_result(writer.commit(count, {}, settings.max_rejected_share, tokens=tokens))


async def _grow(
    job: Job,
    engine: Engine,
    pool: Pool,
    prompts: dict[str, PromptFile],
    writer: DatasetWriter,
    open_slots: list[Slot],
    constants: dict[str, Any],
) -> None:
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
                still = await grower.wave(still)

        grower = Grower(job, engine, writer.calls, pool, prompts, finished)
        await run_tasks([waves()], writer, progress)


def _pool(job: Job, seeds: list[Example], datasets: list[Dataset]) -> Pool:
    """The seeds as examples; earlier iterations' instructions too where the pool grows. None of them is to be repeated."""
    pool = Pool(job.config.augment.max_similarity)
    before = [Example(row["id"], row["language"], row["instruction"]) for dataset in datasets for row in dataset.rows()]
    for example in seeds + before:
        pool.remember(example)
    pool.examples = seeds + (before if job.config.augment.grow_pool else [])
    return pool


def _prompts(job: Job) -> dict[str, PromptFile]:
    found = {}
    for language in job.config.languages:
        found[f"propose.{language}"] = load_prompt("lengthen.augment", f"propose.{language}.txt", {"examples"})
        found[f"judge.{language}"] = load_prompt("lengthen.augment", f"judge.{language}.txt", {"instruction"})
    return found
