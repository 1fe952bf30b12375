"""Two engines for measuring: one that takes no time to generate, and one that makes all rows wait for each other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyarrow.parquet as pq
from lengthen.common.config.load import Config
from lengthen.common.engine.echo import EchoEngine
from lengthen.common.engine.protocol import Completion, Engine, Prompt, SamplingParameters, WatchFunction
from lengthen.common.model.adapter import Adapter


def text_number(prompt: str, count: int) -> int:
    """Which of `count` prepared texts answers a prompt: by the number at its end."""
    return int(prompt.rpartition(" ")[2].rstrip(".")) % count


class InstantEngine(EchoEngine):
    """Answers with prepared texts, streamed through the watch word by word, as a model would stream tokens."""

    def __init__(self, config: Config, texts: Path) -> None:
        super().__init__(config)
        self.pieces = [[word + " " for word in text.split(" ")] for text in pq.read_table(texts)["text"].to_pylist()]

    async def complete(
        self, prompt: Prompt, sampling: SamplingParameters, *, adapter: Adapter | None = None, watch: WatchFunction | None = None
    ) -> Completion:
        pieces = self.pieces[text_number(prompt.user, len(self.pieces))]
        for number, piece in enumerate(pieces, start=1):
            if watch and (reason := watch(piece)):
                return Completion("".join(pieces[:number]), number, reason)
        return Completion("".join(pieces), len(pieces), "stop")


class LockStepEngine:
    """Passes waiting calls on to an engine together, once it has finished all earlier ones, as a program that works round by round."""

    SETTLING = 0.05  # seconds after the last completion until its row, if it is not finished, has made the next call

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.control_tokens = engine.control_tokens
        self.waiting = self.running = 0
        self.gate = asyncio.Event()

    async def complete(
        self, prompt: Prompt, sampling: SamplingParameters, *, adapter: Adapter | None = None, watch: WatchFunction | None = None
    ) -> Completion:
        self.waiting += 1
        self._open_soon()
        await self.gate.wait()
        try:
            return await self.engine.complete(prompt, sampling, adapter=adapter, watch=watch)
        finally:
            self.running -= 1
            self._open_soon()

    def _open_soon(self) -> None:
        if not self.running:
            asyncio.get_running_loop().call_later(self.SETTLING, self._open)

    def _open(self) -> None:
        if self.waiting and not self.running:
            self.running, self.waiting = self.waiting, 0
            self.gate.set()
            self.gate = asyncio.Event()

    def count_tokens(self, prompt: Prompt) -> int:
        return self.engine.count_tokens(prompt)

    async def close(self) -> None:
        await self.engine.close()
