"""Run a stage's rows through the engine: a bounded number at once, each at its own pace, every one accounted for."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from lengthen.common.engine.protocol import PromptTooLong
from lengthen.common.errors import EXIT_SIGINT, EXIT_SIGTERM, Stopped, UserError
from lengthen.common.ids import row_id
from lengthen.common.job import Job
from lengthen.common.progress import StageProgress
from lengthen.common.store.reader import Dataset
from lengthen.common.store.writer import DatasetWriter

Source = TypeVar("Source")


@dataclass(frozen=True)
class Work(Generic[Source]):
    """A row to be made: its id is known before its text is."""

    id: str
    parent_id: str
    sample: int
    source: Source  # what it is made from


def works_of(job: Job, dataset: Dataset, samples: int) -> Iterator[Work[dict[str, Any]]]:
    """The rows that this process has to make: `samples` from each row of a dataset, in order of the source rows' ids."""
    for number, row in enumerate(dataset.rows()):
        if job.limit and number >= job.limit:
            return
        for sample in range(samples):
            name = row_id(job.stage, job.iteration, row["id"], sample)
            if job.takes(name):
                yield Work(name, row["id"], sample, row)


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


def run_rows(stage: str, works: Iterable[Work[Source]], total: int, make: Make[Source], writer: DatasetWriter, at_once: int) -> None:
    """Make every row that the writer doesn't have yet. `total` is how many works there are, for the progress.

    Raises:
        Stopped: SIGTERM or SIGINT; what was finished is flushed.
    """
    asyncio.run(_run(stage, works, total, make, writer, at_once))


async def _run(stage: str, works: Iterable[Work[Source]], total: int, make: Make[Source], writer: DatasetWriter, at_once: int) -> None:
    before = len(writer.done)
    todo = (work for work in works if work.id not in writer.done)
    stop = StopOnSignal()
    with StageProgress(stage, total, before) as progress:
        workers = [asyncio.create_task(_worker(todo, make, writer, progress)) for _ in range(at_once)]
        flusher = asyncio.create_task(flush_when_due(writer, progress))
        stop.cancels(workers)
        try:
            await finish_together(workers)
        finally:
            flusher.cancel()
            writer.flush()
    stop.raise_if_stopped()


async def _worker(todo: Iterator[Work[Source]], make: Make[Source], writer: DatasetWriter, progress: StageProgress) -> None:
    for work in todo:
        try:
            outcome = await make(work)
        except PromptTooLong as error:
            outcome = Rejection("over_context", str(error))
        record(writer, work, outcome)
        progress.advance()


def record(writer: DatasetWriter, work: Work[Source], outcome: dict[str, Any] | Rejection) -> None:
    """Put a finished row where it belongs."""
    if isinstance(outcome, Rejection):
        writer.reject(work.id, work.parent_id, outcome.reason, outcome.detail, outcome.text, outcome.attempts, outcome.tokens)
    else:
        writer.add({"id": work.id, "sample": work.sample, **outcome})


async def flush_when_due(writer: DatasetWriter, progress: StageProgress) -> None:
    """Once a second: save what is due, show that the stage is alive."""
    while True:
        await asyncio.sleep(1.0)
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
    """Turns the first SIGTERM or SIGINT into a cancellation of the given tasks; a second one ends the process at once."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.code: int | None = None
        loop = asyncio.get_running_loop()
        for number, code in ((signal.SIGTERM, EXIT_SIGTERM), (signal.SIGINT, EXIT_SIGINT)):
            loop.add_signal_handler(number, self._stop, code, number)

    def cancels(self, tasks: list[asyncio.Task[None]]) -> None:
        self.tasks = tasks

    def raise_if_stopped(self) -> None:
        if self.code is not None:
            raise Stopped(self.code)

    def _stop(self, code: int, number: signal.Signals) -> None:
        self.code = code
        asyncio.get_running_loop().remove_signal_handler(number)
        for task in self.tasks:
            task.cancel()
