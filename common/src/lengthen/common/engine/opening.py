"""Start the engine of the wanted kind. Its heavy imports come last, when the stage knows that there is work."""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from lengthen.common.config.load import Config
from lengthen.common.engine.protocol import Engine
from lengthen.common.model.adapter import Adapter
from lengthen.common.process.cores import available_cores
from lengthen.common.process.errors import UserError


@asynccontextmanager
async def open_engine(kind: str, config: Config, adapters: list[Adapter], with_base: bool = False) -> AsyncIterator[Engine]:
    """An engine that serves these adapters, closed at the end. It serves the base model too if there are none, or `with_base`."""
    engine = await _start(kind, config, adapters, with_base)
    try:
        yield engine
    finally:
        await engine.close()


async def _start(kind: str, config: Config, adapters: list[Adapter], with_base: bool) -> Engine:
    if kind == "echo":
        from lengthen.common.engine.echo import EchoEngine

        return EchoEngine(config)
    if kind == "openai":
        from lengthen.common.engine.openai_engine import OpenaiEngine

        return await OpenaiEngine.connect(config, adapters)
    if importlib.util.find_spec("vllm") is None:
        raise UserError("--engine vllm: vLLM is not installed; run `make setup`, or try the pipeline with --engine echo")
    _set_openmp()
    with _without_garbage_collection():
        from lengthen.common.engine.vllm_engine import VllmEngine

        return VllmEngine(config, adapters, with_base)


def _set_openmp() -> None:
    """Settings of OpenMP's threads; they are read when torch is imported, and matter on a CPU only.

    A thread that waits for the others spins GOMP_SPINCOUNT times and then sleeps. Two cores, 64 sequences, nothing else running:
    1,140 tokens/s with 300,000 (the default) or 2,000, 1,080 with 1,000, 670 with 300. Beside a program that keeps one core busy: 295 with
    300,000, 375 with 2,000, 455 with 1,000.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """No collection while libraries are imported, and none of their objects afterwards: they live as long as the process.

    It saves 2.6 of the 8.7 seconds that vLLM takes to start with a small model.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
