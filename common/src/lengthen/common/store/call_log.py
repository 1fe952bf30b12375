"""Finished engine calls of unfinished rows: a stopped stage resumes without repeating a call.

A row can take a hundred long calls. Each is written to the journal under the row's id and the call's name (attempt, round,
phase). The row's logic is a pure function of the calls' texts, so a resumed stage runs it again and makes only missing calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pyarrow as pa
from lengthen.common.store.journal import Journal
from lengthen.common.tables.schema import Table

CALLS = Table(
    "calls",
    1,
    pa.schema({"id": pa.string(), "call": pa.string(), "text": pa.string(), "tokens": pa.int64(), "finish_reason": pa.string()}),
)


class FinishedCall(NamedTuple):
    """The result of an engine call."""

    text: str
    tokens: int
    finish_reason: str


class CallLog:
    """The calls of one dataset. `tokens` counts the generated tokens of all of them, including earlier runs."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.tokens = 0
        self.resumed = 0  # calls that earlier runs finished
        self.in_flight = 0
        self.stopping = False
        self._finished: dict[tuple[str, str], FinishedCall] = {}

    def load(self, done: set[str]) -> int:
        """Read the calls of unfinished rows from the journal. Returns the number of their tokens."""
        for batch in self.journal.batches():
            for row in batch.to_pylist():
                if row["id"] not in done:
                    self._finished[row["id"], row["call"]] = FinishedCall(row["text"], row["tokens"], row["finish_reason"])
        self.resumed = len(self._finished)
        return sum(call.tokens for call in self._finished.values())

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Enclose an engine call. Once the stage is stopping, a new call waits here until it is cancelled."""
        if self.stopping:
            await asyncio.get_running_loop().create_future()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def take(self, row: str, name: str) -> FinishedCall | None:
        """Remove and return a finished call of an earlier run, or None."""
        return self._finished.pop((row, name), None)

    def add(self, row: str, name: str, call: FinishedCall) -> None:
        self.tokens += call.tokens
        self.journal.add({"id": row, "call": name, **call._asdict()})
