"""Finished engine calls of rows that aren't finished: what a stopped run has paid for is not paid again.

A row can be a hundred long calls. Each is journalled under the row's id and the call's name (attempt, round, phase); the
row's logic is a pure function of their texts, so a run that resumes goes through it again and asks the engine only for
what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pyarrow as pa
from lengthen.common.engine.protocol import Adapter, Completion, Engine, Prompt, SamplingParameters, WatchFunction
from lengthen.common.store.journal import Journal
from lengthen.common.tables import Table

CALLS = Table(
    "calls",
    1,
    pa.schema({"id": pa.string(), "call": pa.string(), "text": pa.string(), "tokens": pa.int64(), "finish_reason": pa.string()}),
)


class Calls:
    """Remembers calls. `tokens` counts what this dataset's engine calls have generated, earlier runs' included."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.tokens = 0
        self.kept = self.in_flight = 0  # calls of earlier runs; calls under way
        self.stopping = False
        self._known: dict[tuple[str, str], Completion] = {}

    def load(self, done: set[str]) -> int:
        """Take in the calls of rows that are not done. Returns the tokens of those."""
        for batch in self.journal.batches():
            for row in batch.to_pylist():
                if row["id"] not in done:
                    self._known[row["id"], row["call"]] = Completion(row["text"], row["tokens"], row["finish_reason"])
        self.kept = len(self._known)
        return sum(completion.tokens for completion in self._known.values())

    def of(self, engine: Engine, row: str) -> RowCalls:
        """The engine as one row uses it."""
        return RowCalls(self, engine, row)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Around an engine call. Once the stage is stopping, none is begun: it waits here until it is cancelled."""
        if self.stopping:
            await asyncio.get_running_loop().create_future()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def take(self, row: str, call: str) -> Completion | None:
        """A finished call, once."""
        return self._known.pop((row, call), None)

    def add(self, row: str, call: str, completion: Completion) -> None:
        self.tokens += completion.tokens
        values = {"text": completion.text, "tokens": completion.tokens, "finish_reason": completion.finish_reason}
        self.journal.add({"id": row, "call": call, **values})


@dataclass(frozen=True)
class RowCalls:
    """An engine for one row: a call that the row has finished before is not made again. `call` is its name in the row."""

    calls: Calls
    engine: Engine
    row: str

    async def complete(
        self,
        call: str,
        prompt: Prompt,
        sampling: SamplingParameters,
        *,
        adapter: Adapter | None = None,
        watch: WatchFunction | None = None,
    ) -> Completion:
        """See `Engine.complete`."""
        if known := self.calls.take(self.row, call):
            return known
        async with self.calls.admitted():
            completion = await self.engine.complete(prompt, sampling, adapter=adapter, watch=watch)
        self.calls.add(self.row, call, completion)
        return completion

    async def score(self, call: str, prompt: Prompt, continuations: list[str], *, adapter: Adapter | None = None) -> list[float]:
        """See `Engine.score`."""
        if known := self.calls.take(self.row, call):
            return [float(value) for value in known.text.split()]
        async with self.calls.admitted():
            values = await self.engine.score(prompt, continuations, adapter=adapter)
        self.calls.add(self.row, call, Completion(" ".join(map(repr, values)), 0, "stop"))
        return values
