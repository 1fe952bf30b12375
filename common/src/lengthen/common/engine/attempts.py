"""Attempts at a row, of which the first accepted one by number counts. While the engine has free places, they begin ahead.

Attempt k + 1 begins when attempt k is rejected, so the last rows of a stage would decode almost alone, one attempt after the
other. When no row waits, the places that they leave free get further attempts of the open rows, before it is known whether these
are needed. An attempt depends on nothing but its number, so the rows stay the same. What turns out unneeded is aborted and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from lengthen.common.engine.protocol import PromptTooLong
from lengthen.common.text.rejection import Rejection

if TYPE_CHECKING:
    from lengthen.common.engine.recorded import RowEngine

Made = dict[str, Any] | Rejection
Attempt = Callable[[int, "RowEngine"], Coroutine[Any, Any, Made]]

_STOP_SECONDS = 1.0  # a request that gives no token for so long is waiting, or computes its prompt: nothing is left to be counted


async def first_accepted(engine: RowEngine, limit: int, attempt: Attempt, length: int = 0) -> Made:
    """The row of the first accepted attempt, or the rejection of the last one, with the number and the tokens of the attempts so far.

    Args:
        limit: the number of the last attempt; the first is 1.
        attempt: makes one, given its number and the engine for its calls. It shares nothing with the other attempts.
        length: longer attempts begin ahead earlier. In any unit that is the same for all rows; 0: the longest so far tells it.
    """
    row = _OpenRow(engine, limit, attempt, length)
    try:
        made = await row.decide()
        await row.stop_unneeded()
    finally:
        await row.close()
    tokens = [each.tokens for each in row.engines]
    engine.recorded.log.end_row(engine.row, unneeded=sum(tokens[row.asked :]))
    cost: dict[str, Any] = {"attempts": row.asked, "tokens": sum(tokens[: row.asked])}
    return made._replace(**cost) if isinstance(made, Rejection) else made | cost


class Attempts:
    """The attempts of a stage's open rows. `places`: how many the engine decodes at the same time; 0: none begins ahead."""

    def __init__(self, places: int = 0) -> None:
        self.places, self.running = places, 0
        self.open: list[_OpenRow] = []
        self.no_row_waits = False

    def fill_from_now(self) -> None:
        """To be called when the last row has begun."""
        self.no_row_waits = True
        self.begin_ahead()

    def begin_ahead(self) -> None:
        """Fill the free places. First come rows with the fewest running attempts: their next one is needed most likely."""
        while self.no_row_waits and self.running < self.places:
            rows = [row for row in self.open if len(row.tasks) < row.limit]
            if not rows:
                return
            min(rows, key=lambda row: (row.running, -(row.length or row.longest))).begin()


class _OpenRow:
    """A row that is not decided. `asked` is the attempt that decides now; `limit` falls to an accepted one that began ahead."""

    def __init__(self, engine: RowEngine, limit: int, attempt: Attempt, length: int) -> None:
        self.engine, self.limit, self.attempt, self.length = engine, limit, attempt, length
        self.engines: list[RowEngine] = []  # of each attempt that has begun
        self.tasks: list[asyncio.Task[Made]] = []
        self.asked = self.running = self.longest = 0
        self.attempts = engine.recorded.attempts
        self.attempts.open.append(self)

    def begin(self) -> None:
        self.engines.append(self.engine.recorded.row(self.engine.row))
        self.tasks.append(asyncio.create_task(self.attempt(len(self.engines), self.engines[-1])))
        self.tasks[-1].add_done_callback(partial(self._ended, len(self.tasks)))
        self.running += 1
        self.attempts.running += 1

    async def decide(self) -> Made:
        """An attempt whose prompt does not fit rejects the row: the others have the same prompt.

        Raises: what an attempt raises that is needed. An exception of one that isn't is dropped, as if it had never begun.
        """
        while True:
            if self.asked == len(self.tasks):
                self.begin()
            self.asked += 1
            try:
                made = await self.tasks[self.asked - 1]
            except PromptTooLong as error:
                return Rejection("over_context", str(error))
            if self.asked == self.limit or not isinstance(made, Rejection):
                return made

    def _ended(self, number: int, task: asyncio.Task[Made]) -> None:
        self.running -= 1
        self.attempts.running -= 1
        if task.cancelled():
            return
        self.longest = max(self.longest, self.engines[number - 1].tokens)
        if task.exception() or not isinstance(task.result(), Rejection):  # the row ends here, if not earlier
            self.limit = min(self.limit, number)
            self._make_unneeded(number)
        elif not self.running and len(self.tasks) < self.limit:  # the next is needed: it takes the place before any that is ahead
            self.begin()
        self.attempts.begin_ahead()

    def _make_unneeded(self, last: int) -> None:
        for engine in self.engines[last:]:
            engine.unneeded = True

    async def stop_unneeded(self) -> None:
        """Abort the requests at their next token, so that all their tokens are counted."""
        self.limit = 0
        self._make_unneeded(self.asked)
        if running := [task for task in self.tasks if not task.done()]:
            await asyncio.wait(running, timeout=_STOP_SECONDS)

    async def close(self) -> None:
        self.limit = 0
        self.attempts.open.remove(self)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
