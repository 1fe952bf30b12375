"""What every stage does around its own work: compare fingerprints, print the plan, run, commit.

    run_stage(job, recipe, prepare)

A stage passes what decides its rows (`Recipe`), and a function that reads its inputs and returns what is to be done (`Plan`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lengthen.common.engine.attempts import Attempts
from lengthen.common.engine.opening import open_engine
from lengthen.common.engine.protocol import Engine, Prompt
from lengthen.common.engine.recorded import RecordedEngine
from lengthen.common.process.errors import UserError
from lengthen.common.process.progress import say
from lengthen.common.stage.describe import describe
from lengthen.common.stage.fingerprint import Recipe, origin_of
from lengthen.common.stage.job import Job
from lengthen.common.stage.signals import stopping_on_signals
from lengthen.common.store.commit import Outcome
from lengthen.common.store.manifest import Manifest, read_manifest
from lengthen.common.store.origin import WORK, Origin, completed
from lengthen.common.store.paths import read_json
from lengthen.common.store.writer import DatasetWriter

MIN_ANSWER_TOKENS = 32  # that a prompt must leave free in the context


@dataclass(frozen=True)
class Plan:
    """What a stage is going to do. `figures` is printed by --dry-run; `work` makes or rejects all rows."""

    figures: Mapping[str, Any]
    work: Callable[[DatasetWriter], Outcome]
    replays: bool = False  # see `DatasetWriter`
    restarts: bool = False  # rows of a stopped run are deleted and made again
    after: Callable[[Manifest], None] = field(default=lambda manifest: None)  # prints more about the result


def run_stage(job: Job, recipe: Recipe, prepare: Callable[[], Plan]) -> None:
    """Make the dataset, unless it is complete already or this is a dry run.

    Raises:
        UserError: the folder has a dataset with other settings, or with other shards.
        Stopped: SIGTERM or SIGINT; finished work is saved.
    """
    origin = origin_of(job, recipe)
    if _is_complete(job, origin):
        return
    plan = prepare()
    if job.dry_run:
        figures = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in plan.figures.items())
        say(f"{job.name} would write {job.output}: {figures}")
        return
    overwrite = job.overwrite or plan.restarts
    with (
        stopping_on_signals(),
        DatasetWriter(job.folder, recipe.table, origin, job.config.store, overwrite, replays=plan.replays) as writer,
    ):
        manifest = writer.commit(plan.work(writer))
    say(f"{job.name}: {job.folder} complete: {describe(manifest)}")
    plan.after(manifest)


def with_engine(
    job: Job,
    writer: DatasetWriter,
    work: Callable[[RecordedEngine], Awaitable[None]],
    prompts: Sequence[Prompt] = (),
    *,
    with_base: bool = False,
    needs_engine: bool = True,
) -> None:
    """Start the job's engine, run `work` in an event loop, close the engine.

    Args:
        prompts: the prompts with empty variables, which must leave free tokens for an answer.
        with_base: the base model is used too, in addition to the adapter.
        needs_engine: False if nothing is generated: `work` gets no engine.
    """

    async def run() -> None:
        if not needs_engine:
            await work(RecordedEngine(None, writer.calls))
            return
        began = time.monotonic()
        async with open_engine(job.engine, job.config, [job.adapter] if job.adapter else [], with_base) as engine:
            say(f"{job.name}: engine {job.engine} ready after {time.monotonic() - began:.0f} s")
            _check_context(job, engine, prompts)
            await work(RecordedEngine(engine, writer.calls, job.adapter, Attempts(_places(job))))

    with stopping_on_signals():  # the event loop installs its own handlers, and removes them at its end
        asyncio.run(run())


def _places(job: Job) -> int:
    """How many requests the engine decodes at the same time, if attempts may begin ahead. Of a server only our own limit is known."""
    settings = job.config.engine
    at_once = settings.rows_in_flight if job.engine == "openai" else min(settings.rows_in_flight, settings.max_num_seqs)
    return at_once if settings.attempts_ahead else 0


def _is_complete(job: Job, origin: Origin) -> bool:
    """Whether the dataset is complete already; prints it. Raises UserError for a folder with another dataset or other shards."""
    manifest = completed(job.folder, origin, job.overwrite)
    if job.shard and manifest is None and read_manifest(job.output):
        raise UserError(f"{job.output} is already complete, but was not made of these shards; give another --output")
    if job.shard and manifest is None and read_json(job.output / WORK / "fingerprint.json"):
        raise UserError(
            f"{job.output} was started without shards; finish it without --shard (make: without SHARDS), or give another --output"
        )
    if not job.shard and manifest is None and any(job.output.glob("shard-*")):
        raise UserError(f"{job.output} has shards; seal them with `python -m lengthen.common.dataset seal`, or give another --output")
    if manifest:
        say(f"{job.name}: {job.folder} is already complete ({manifest.rows_out} rows)")
    return manifest is not None


def _check_context(job: Job, engine: Engine, prompts: Sequence[Prompt]) -> None:
    for prompt in prompts:
        tokens = engine.count_tokens(prompt)
        if tokens + MIN_ANSWER_TOKENS > job.config.model.max_model_len:
            raise UserError(
                f"model.max_model_len: {job.config.model.max_model_len} is too short: the {job.stage} prompt alone "
                f"takes {tokens} tokens, and at least {MIN_ANSWER_TOKENS} are needed for an answer; increase it"
            )
