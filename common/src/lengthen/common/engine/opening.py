"""Which engine: the heavy import comes last, when a stage is sure that there is work."""

from __future__ import annotations

import importlib.util

from lengthen.common.config import Config
from lengthen.common.engine.protocol import Adapter, Engine
from lengthen.common.errors import UserError

ENGINES = ("vllm", "openai", "echo")


def open_engine(kind: str, config: Config, adapters: list[Adapter], with_base: bool = False) -> Engine:
    """Start an engine that can serve these adapters; the base model too, if there are none or `with_base` says so."""
    if kind == "echo":
        from lengthen.common.engine.echo import EchoEngine

        return EchoEngine(config)
    if kind == "openai":
        from lengthen.common.engine.openai_engine import OpenaiEngine

        return OpenaiEngine(config, adapters)
    if importlib.util.find_spec("vllm") is None:
        raise UserError("--engine vllm: vLLM is not installed; run `make setup`, or try the pipeline with --engine echo")
    from lengthen.common.engine.vllm_engine import VllmEngine

    return VllmEngine(config, adapters, with_base)
