"""Run one stage of ours in a process of its own, with an engine of the bench's choice. A program of the parts (b), (c) and (f).

Spec: `stage` (generate, expand), `engine` (echo, instant, vllm), `lock_step`, `config`, `settings`, `input`, `output`, and for the
instant engine `texts`, a Parquet file.
Result: `seconds` from the start of the stage to its committed dataset, without the imports; `engine_seconds` from the ready engine to
its end; `rows`, `rejected` and `tokens` of the manifest; `peak_mb`.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engines import InstantEngine, LockStepEngine
from lengthen.common.config.load import Config, load_config
from lengthen.common.engine.protocol import Engine
from lengthen.common.model.adapter import Adapter
from lengthen.common.stage import run as stage_run
from lengthen.common.stage.job import open_job
from lengthen.common.store.manifest import read_manifest
from measuring import peak_mb, spec_and_result


def main() -> None:
    spec, result = spec_and_result()
    stage, folder = importlib.import_module(f"lengthen.{spec['stage']}.stage"), Path(spec["output"])
    opened = stage_run.open_engine
    engine_seconds = 0.0

    @asynccontextmanager
    async def open_engine(kind: str, config: Config, adapters: list[Adapter], with_base: bool = False) -> AsyncIterator[Engine]:
        nonlocal engine_seconds
        async with opened(kind, config, adapters, with_base) as engine:
            began = time.perf_counter()
            yield chosen(engine, config, spec)
            engine_seconds = time.perf_counter() - began

    stage_run.open_engine = open_engine  # the stage is otherwise exactly as its command runs it
    config = load_config(Path(spec["config"]), spec["settings"])
    kind = "vllm" if spec["engine"] == "vllm" else "echo"
    job = open_job(config, kind, None, stage=spec["stage"], output=folder, iteration=1)
    began = time.perf_counter()
    getattr(stage, spec["stage"])(job, Path(spec["input"]))
    seconds = time.perf_counter() - began
    made = read_manifest(folder)
    counts = {"rows": made.rows_out, "rejected": sum(made.rejected.values()), "tokens": made.tokens}
    result.write_text(json.dumps({"seconds": seconds, "engine_seconds": engine_seconds, "peak_mb": peak_mb(), **counts}))


def chosen(engine: Engine, config: Config, spec: dict[str, Any]) -> Engine:
    if spec["engine"] == "instant":
        return InstantEngine(config, Path(spec["texts"]))
    return LockStepEngine(engine) if spec.get("lock_step") else engine


if __name__ == "__main__":
    main()
