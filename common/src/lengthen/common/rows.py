"""Run a stage's rows through the engine: a bounded number at once, each at its own pace, every one accounted for."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from lengthen.common.engine.protocol import PromptTooLong
from lengthen.common.errors import EXIT_SIGINT, EXIT_SIGTERM, Stopped, UserError
from lengthen.common.flaws import flaw_of
from lengthen.common.ids import row_id
from lengthen.common.job import Job
from lengthen.common.progress import StageProgress, say
from lengthen.common.store.calls import Calls
from lengthen.common.store.reader import Dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.text.check import Refusal

Source = TypeVar("Source")


@dataclass(frozen=True)
class Work(Generic[Source]):
    """A row to be made: its id is known before its text is."""

    id: str
    parent_id: str
    sample: int
    source: Source  # what it is made from
    flaw: Refusal | None = None  # why nothing can be made from it


def works_of(job: Job, dataset: Dataset, samples: int) -> Iterator[Work[dict[str, Any]]]:
    """The rows that this process has to make: `samples` from each row of a dataset, in order of the source rows' ids."""
    for row in islice(dataset.rows(), job.limit):
        flaw = flaw_of(dataset.table, row, job.config.model.context_tokens)
        for sample in range(samples):
            name = row_id(job.stage, job.iteration, row["id"], sample)
            if job.takes(name):
                yield Work(name, row["id"], sample, row, flaw)


def count_works(job: Job, dataset: Dataset, samples: int) -> int:
    """How many `works_of` will yield, from the ids alone."""
    ids = islice((row["id"] for row in dataset.rows(["id"])), job.limit)
    return sum(job.takes(row_id(job.stage, job.iteration, row, sample)) for row in ids for sample in range(samples))


def check_languages(job: Job, dataset: Dataset) -> None:
    """Each row's language needs the run's prompts and checks.

    Raises:
        UserError: names the languages that the config lacks.
    """
    found = {row["language"] for row in dataset.rows(["language"])}
    if missing := sorted(found - set(job.config.languages)):
        raise UserError(f"{dataset.folder} holds rows in {', '.join(missing)}; add it to the config's languages")


@dataclass(frozen=True)
class Rejection:
    """A row that came to nothing: the reason of its last attempt, and what all attempts cost."""

    reason: str
    detail: str
    text: str = ""
    attempts: int = 0
    tokens: int = 0


Make = Callable[[Work[Source]], Awaitable[dict[str, Any] | Rejection]]


def run_rows(
    job: Job, works: Iterable[Work[Source]], total: int, make: Make[Source], writer: DatasetWriter, max_rejected_share: float = 1.0
) -> None:
    """Make every row that the writer doesn't have yet. `total` is how many works there are, finished ones included.

    Raises:
        Stopped: SIGTERM or SIGINT; what was finished is flushed.
        UserError: more rows than the allowed share were rejected: said as soon as it is certain.
    """
    asyncio.run(_run(job, works, total, make, writer, max_rejected_share))


async def _run(
    job: Job, works: Iterable[Work[Source]], total: int, make: Make[Source], writer: DatasetWriter, max_rejected_share: float
) -> None:
    todo = (work for work in works if work.id not in writer.done)

    async def worker() -> None:
        for work in todo:
            outcome = await _outcome(make, work)
            record(writer, work, outcome)
            writer.refuse_share(total, max_rejected_share)
            progress.advance(worked=not isinstance(outcome, Rejection) or outcome.attempts > 0)

    with StageProgress(job.stage, total, len(writer.done)) as progress:
        await run_tasks([worker() for _ in range(job.config.engine.rows_in_flight)], writer, progress)


async def run_tasks(work: list[Coroutine[Any, Any, None]], writer: DatasetWriter, progress: StageProgress) -> None:
    """Run coroutines to their end, saving what is finished as they go; see `run_rows` for what it raises."""
    if writer.resumed:
        say(f"{progress.stage}: {writer.resumed}")
    tasks = [asyncio.create_task(one) for one in work]
    stop = StopOnSignal(tasks, writer.calls, writer.store.grace_seconds)
    flusher = asyncio.create_task(flush_when_due(writer, progress))
    try:
        await finish_together(tasks)
    finally:
        flusher.cancel()
        writer.flush()
    stop.raise_if_stopped()


async def _outcome(make: Make[Source], work: Work[Source]) -> dict[str, Any] | Rejection:
    if work.flaw:
        return Rejection(*work.flaw)
    try:
        return await make(work)
    except PromptTooLong as error:
        return Rejection("over_context", str(error))


def record(writer: DatasetWriter, work: Work[Source], outcome: dict[str, Any] | Rejection) -> None:
    """Put a finished row where it belongs."""
    if isinstance(outcome, Rejection):
        writer.reject(work.id, work.parent_id, outcome.reason, outcome.detail, outcome.text, outcome.attempts, outcome.tokens)
    else:
        writer.add({"id": work.id, "sample": work.sample, **outcome})


async def flush_when_due(writer: DatasetWriter, progress: StageProgress) -> None:
    """Again and again: save what is due, show that the stage is alive."""
    while True:
        await asyncio.sleep(min(1.0, writer.store.flush_seconds / 4))  # see `Journal`: what is due next time is saved this time
        writer.flush_if_due()
        progress.tick(f"{writer.calls.tokens:,} tokens")


async def finish_together(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for all; the first failure cancels the others and is raised. Cancelled tasks are no failure."""
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


class StopOnSignal:
    """The first SIGTERM or SIGINT: no engine call is begun any more, those under way have a grace, then the tasks are
    cancelled. The second one ends the process at once.
    """

    def __init__(self, tasks: list[asyncio.Task[None]], calls: Calls, grace_seconds: float) -> None:
        self.tasks, self.calls, self.grace_seconds = tasks, calls, grace_seconds
        self.code: int | None = None
        self._draining: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        for number, code in ((signal.SIGTERM, EXIT_SIGTERM), (signal.SIGINT, EXIT_SIGINT)):
            loop.add_signal_handler(number, self._stop, code)

    def raise_if_stopped(self) -> None:
        if self.code is not None:
            raise Stopped(self.code)

    def _stop(self, code: int) -> None:
        if self.code is not None:
            os._exit(code)
        self.code, self.calls.stopping = code, True
        if self.calls.in_flight and self.grace_seconds:
            say(f"stopping: {self.calls.in_flight} engine calls may end within {self.grace_seconds:g} s; a second signal stops at once")
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        deadline = time.monotonic() + self.grace_seconds
        while self.calls.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for task in self.tasks:
            task.cancel()
