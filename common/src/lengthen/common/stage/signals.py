"""SIGTERM and SIGINT: the stage saves finished work, and exits with 143 or 130."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lengthen.common.process.errors import EXIT_SIGINT, EXIT_SIGTERM, Stopped
from lengthen.common.process.progress import say
from lengthen.common.store.call_log import CallLog

EXIT_CODES = {signal.SIGTERM: EXIT_SIGTERM, signal.SIGINT: EXIT_SIGINT}


@contextmanager
def handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle both signals with `handler` within the block."""
    before = {number: signal.signal(number, handler) for number in EXIT_CODES}
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Both signals raise Stopped within the block. Only for work that a restart repeats in seconds."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(EXIT_CODES[signal.Signals(number)])

    with handling(stop):
        yield


class StopOnSignal:
    """Stops the tasks of an event loop. After the first signal no engine call is admitted, and in-flight calls have
    `grace_seconds` to finish; then the tasks are cancelled. A second signal ends the process at once.
    """

    def __init__(self, tasks: list[asyncio.Task[None]], log: CallLog, grace_seconds: float) -> None:
        self.tasks, self.log, self.grace_seconds = tasks, log, grace_seconds
        self.code: int | None = None
        self._draining: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        for number, code in EXIT_CODES.items():
            loop.add_signal_handler(number, self._stop, code)

    def raise_if_stopped(self) -> None:
        if self.code is not None:
            raise Stopped(self.code)

    def _stop(self, code: int) -> None:
        if self.code is not None:
            os._exit(code)
        self.code, self.log.stopping = code, True
        if self.log.in_flight and self.grace_seconds:
            say(
                f"stopping: {self.log.in_flight} in-flight engine calls may finish within {self.grace_seconds:g} s; "
                "a second signal stops at once"
            )
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        deadline = time.monotonic() + self.grace_seconds
        while self.log.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for task in self.tasks:
            task.cancel()
