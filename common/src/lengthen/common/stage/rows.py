"""Make a stage's rows: a limited number at the same time, independent of each other, and each written or rejected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from lengthen.common.engine.protocol import PromptTooLong
from lengthen.common.engine.recorded import RecordedEngine, RowEngine
from lengthen.common.process.errors import TransientError
from lengthen.common.process.progress import StageProgress, say
from lengthen.common.stage.job import Job
from lengthen.common.stage.signals import StopOnSignal
from lengthen.common.stage.tasks import Task
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.text.rejection import Rejection

Source = TypeVar("Source")
Make = Callable[[Task[Source], RowEngine], Awaitable[dict[str, Any] | Rejection]]


async def make_rows(
    job: Job,
    engine: RecordedEngine,
    writer: DatasetWriter,
    tasks: Iterable[Task[Source]],
    total: int,
    make: Make[Source],
    max_rejected_share: float = 1.0,
) -> None:
    """Make every row that the writer does not have yet. `total` is the number of tasks, including finished ones.

    Raises:
        Stopped: SIGTERM or SIGINT; finished work is saved.
        UserError: more rows than the allowed share are rejected; raised as soon as that is certain.
    """
    todo = (task for task in tasks if task.id not in writer.done)

    async def worker() -> None:
        for task in todo:
            outcome = await _make_row(make, task, engine)
            record(writer, task, outcome)
            writer.check_rejected_share(total, max_rejected_share)
            progress.advance(worked=not isinstance(outcome, Rejection) or outcome.attempts > 0)
        engine.attempts.fill_from_now()

    with StageProgress(job.name, total, len(writer.done)) as progress:
        await run_together([worker() for _ in range(job.config.engine.rows_in_flight)], writer, progress)


async def run_together(work: list[Coroutine[Any, Any, None]], writer: DatasetWriter, progress: StageProgress) -> None:
    """Run coroutines until they end, and save finished work meanwhile. Raises as `make_rows`."""
    if writer.resumed:
        say(f"{progress.stage}: {writer.resumed}")
    running = [asyncio.create_task(one) for one in work]
    stop = StopOnSignal(running, writer.calls, writer.store.grace_seconds)
    flusher = asyncio.create_task(_flush_when_due(writer, progress, running))
    try:
        await _wait_for_all(running)
    finally:
        flusher.cancel()
        writer.flush()
    with suppress(asyncio.CancelledError):
        await flusher  # it may have failed, and then it has stopped the work
    stop.raise_if_stopped()


async def _make_row(make: Make[Source], task: Task[Source], engine: RecordedEngine) -> dict[str, Any] | Rejection:
    if task.rejection:
        return task.rejection
    try:
        return await make(task, engine.row(task.id))
    except PromptTooLong as error:
        return Rejection("over_context", str(error))


def record(writer: DatasetWriter, task: Task[Source], outcome: dict[str, Any] | Rejection) -> None:
    """Write a finished row, or its rejection."""
    if isinstance(outcome, Rejection):
        writer.reject(task.id, task.parent_id, outcome)
    else:
        writer.add({"id": task.id, "sample": task.sample, **outcome})


async def _flush_when_due(writer: DatasetWriter, progress: StageProgress, running: list[asyncio.Task[None]]) -> None:
    """Until cancelled: save what is due, update the progress. A full disk stops the work.

    It is saved in a thread, so that the event loop does not wait for the disk or the object store.
    """
    try:
        while True:
            await asyncio.sleep(min(1.0, writer.store.flush_seconds / 4))  # see `Journal`
            await asyncio.to_thread(writer.flush_if_due)
            progress.tick(f"{writer.calls.tokens:,} tokens")
    except TransientError:
        for task in running:
            task.cancel()
        raise


async def _wait_for_all(running: list[asyncio.Task[None]]) -> None:
    """Wait for all tasks. The first exception cancels the others and is raised; a cancelled task is not an error."""
    await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
    for task in running:
        task.cancel()
    results = await asyncio.gather(*running, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result
