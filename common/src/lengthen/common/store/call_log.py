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

UNNEEDED = "unneeded"  # the finish reason of a call that was aborted because an earlier attempt was accepted


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
        self.tokens_ahead = 0  # those of them that belong to no row, because they are of unneeded attempts
        self.resumed = 0  # calls that earlier runs finished
        self.in_flight = 0
        self.stopping = False
        self._finished: dict[str, dict[str, FinishedCall]] = {}

    def load(self, done: set[str]) -> int:
        """Read the calls of unfinished rows from the journal. Returns the number of their tokens, plus `tokens_ahead`."""
        of_rows: dict[str, int] = {}  # see `end_row`
        for batch in self.journal.batches():
            for row in batch.to_pylist():
                if row["call"] == UNNEEDED:
                    of_rows[row["id"]] = row["tokens"]
                elif row["finish_reason"] == UNNEEDED:
                    self.tokens_ahead += row["tokens"]
                elif row["id"] not in done:
                    calls = self._finished.setdefault(row["id"], {})
                    calls[row["call"]] = FinishedCall(row["text"], row["tokens"], row["finish_reason"])
        self.tokens_ahead += sum(of_rows[row] for row in of_rows.keys() & done)
        self.resumed = sum(map(len, self._finished.values()))
        return sum(call.tokens for calls in self._finished.values() for call in calls.values()) + self.tokens_ahead

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
        return self._finished.get(row, {}).pop(name, None)

    def add(self, row: str, name: str, call: FinishedCall) -> None:
        self.tokens += call.tokens
        self.tokens_ahead += call.tokens if call.finish_reason == UNNEEDED else 0
        self.journal.add({"id": row, "call": name, **call._asdict()})

    def end_row(self, row: str, unneeded: int) -> None:
        """A row is decided. `unneeded`: the tokens of finished calls of its unneeded attempts. Finished calls of an earlier run that
        no attempt of this run has asked for are unneeded too. The journal keeps the sum; it counts if the row is there too."""
        unneeded += sum(call.tokens for call in self._finished.pop(row, {}).values())
        if unneeded:
            self.tokens_ahead += unneeded
            self.journal.add({"id": row, "call": UNNEEDED, **FinishedCall("", unneeded, UNNEEDED)._asdict()})
