"""The engine as a stage's rows use it: with the job's adapter, and with finished calls recorded, so that none is repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lengthen.common.engine.protocol import Completion, Engine, Prompt, SamplingParameters, WatchFunction
from lengthen.common.model.adapter import Adapter
from lengthen.common.store.call_log import CallLog, FinishedCall


@dataclass(frozen=True)
class RecordedEngine:
    """An engine and the log of its calls. All calls use `adapter`; None: the base model.

    `engine` is None in a stage that generates nothing, such as the scoring of existing texts.
    """

    engine: Engine | None
    log: CallLog
    adapter: Adapter | None = None

    def row(self, row: str) -> RowEngine:
        return RowEngine(self, row)


@dataclass(frozen=True)
class RowEngine:
    """The engine for one row. `call` names a call within the row. A call that an earlier run finished is not repeated."""

    recorded: RecordedEngine
    row: str

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
        if known := log.take(self.row, call):
            return Completion(*known)
        async with log.admitted():
            completion = await make()
        log.add(self.row, call, FinishedCall(completion.text, completion.tokens, completion.finish_reason))
        return completion
