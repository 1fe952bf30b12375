"""The fingerprint of a dataset: everything that decides its rows. With another fingerprint the dataset has to be made again.

It contains the settings that decide rows, the digests of inputs, model and adapter, and the digest of every source and data file
that makes or checks a row (`code_digest`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lengthen.common.stage.code_digest import code_digests
from lengthen.common.stage.job import Job
from lengthen.common.store.origin import Origin
from lengthen.common.store.reader import Dataset
from lengthen.common.tables.schema import Table


@dataclass(frozen=True)
class Recipe:
    """What a stage makes, and everything that decides its rows."""

    table: Table
    module: str  # the stage's own module, where the search for the code that makes rows begins
    sections: Sequence[str]  # of the config
    inputs: Mapping[str, Dataset] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)  # what else decides rows, such as digests of files
    programs: Sequence[str] = ()  # further modules that make rows, run as separate processes
    excluded: Sequence[str] = ()  # the stage's modules that decide how rows are made, not which


def origin_of(job: Job, recipe: Recipe) -> Origin:
    """Fingerprint and lineage of the dataset that a job makes."""
    made: dict[str, Any] = {"stage": job.stage, "table": f"{recipe.table.name} {recipe.table.version}"}
    made |= {"iteration": job.iteration, "limit": job.limit}
    made |= job.config.fingerprint(*recipe.sections, *(["echo"] if job.engine == "echo" else []))
    made |= {"engine": job.engine, "model": job.model.sha256, "adapter": job.adapter.sha256 if job.adapter else None}
    made |= {f"input.{name}": dataset.manifest.content_digest for name, dataset in recipe.inputs.items()}
    made |= {f"input.{name}": value for name, value in recipe.values.items()}
    made |= code_digests((recipe.module, *recipe.programs, *_engine_modules(job.engine)), recipe.excluded)
    made |= {"shard": str(job.shard)} if job.shard else {}
    lineage = {f"input.{name}": str(dataset.folder) for name, dataset in recipe.inputs.items()}
    lineage |= {"model": str(job.model.path)} if job.engine != "echo" else {}
    lineage |= {"adapter": str(job.adapter_folder)} if job.adapter_folder else {}
    return Origin(made, lineage, _rows_of_all_shards(job, recipe) if job.shard else None)


def _rows_of_all_shards(job: Job, recipe: Recipe) -> float:
    """Of a stage that makes the same number of rows from each input row; otherwise infinite, so that no shard stops early."""
    samples = {"generate": job.config.generate.responses, "expand": job.config.expand.extensions}.get(job.stage)
    if samples is None:
        return math.inf
    return samples * sum(min(dataset.manifest.rows_out, job.limit or math.inf) for dataset in recipe.inputs.values())


def _engine_modules(engine: str) -> tuple[str, ...]:
    """The engine's code that decides texts: how a prompt becomes tokens, or the texts of the echo engine."""
    return ("lengthen.common.engine.echo",) if engine == "echo" else ("lengthen.common.engine.chat",)
