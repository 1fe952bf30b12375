"""The engine as a stage's rows use it: with the job's adapter, and with finished calls recorded, so that none is repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from lengthen.common.engine.attempts import Attempts
from lengthen.common.engine.protocol import Completion, Engine, Prompt, SamplingParameters, WatchFunction
from lengthen.common.model.adapter import Adapter
from lengthen.common.store.call_log import UNNEEDED, CallLog, FinishedCall


class Unneeded(Exception):
    """Ends an attempt that turned out unneeded."""


@dataclass(frozen=True)
class RecordedEngine:
    """An engine and the log of its calls. All calls use `adapter`; None: the base model.

    `engine` is None in a stage that generates nothing, such as the scoring of existing texts.
    """

    engine: Engine | None
    log: CallLog
    adapter: Adapter | None = None
    attempts: Attempts = field(default_factory=Attempts)

    def row(self, row: str) -> RowEngine:
        return RowEngine(self, row)


@dataclass
class RowEngine:
    """The engine for one row, or one attempt at it. `call` names a call within the row. A call that an earlier run finished is not
    repeated."""

    recorded: RecordedEngine
    row: str
    tokens: int = 0  # of its finished calls, including those of earlier runs
    unneeded: bool = False  # the running call is aborted at its next token, and no other is made: `Unneeded` is raised

    def __deepcopy__(self, memo: object) -> RowEngine:
        return self  # a request that is retried copies its watch: the copy still belongs to this attempt

    @property
    def engine(self) -> Engine:
        """Raises: RuntimeError: this stage has no engine."""
        if self.recorded.engine is None:
            raise RuntimeError("this stage was started without an engine")
        return self.recorded.engine

    @property
    def control_tokens(self) -> frozenset[str]:
        return self.engine.control_tokens

    def count_tokens(self, prompt: Prompt) -> int:
        return self.engine.count_tokens(prompt)

    async def complete(self, call: str, prompt: Prompt, sampling: SamplingParameters, *, watch: WatchFunction | None = None) -> Completion:
        """See `Engine.complete`."""
        if self.recorded.attempts.places:  # else no attempt begins ahead, and none becomes unneeded
            watch = partial(self._watch, watch)
        return await self.once(call, lambda: self.engine.complete(prompt, sampling, adapter=self.recorded.adapter, watch=watch))

    async def score(self, call: str, prompt: Prompt, continuations: list[str]) -> list[float]:
        """See `Engine.score`."""

        async def ask() -> Completion:
            values = await self.engine.score(prompt, continuations, adapter=self.recorded.adapter)
            return Completion(" ".join(map(repr, values)), 0, "stop")

        return [float(value) for value in (await self.once(call, ask)).text.split()]

    async def once(self, call: str, make: Callable[[], Awaitable[Completion]]) -> Completion:
        """The result of a call: from an earlier run, or made now and recorded."""
        log = self.recorded.log
        if self.unneeded:
            raise Unneeded
        if known := log.take(self.row, call):
            completion = Completion(*known)
        else:
            async with log.admitted():
                completion = await make()
            log.add(self.row, call, FinishedCall(completion.text, completion.tokens, completion.finish_reason))
        if completion.finish_reason == UNNEEDED:
            raise Unneeded
        self.tokens += completion.tokens
        return completion

    def _watch(self, watch: WatchFunction | None, piece: str) -> str | None:
        return UNNEEDED if self.unneeded else watch(piece) if watch else None
