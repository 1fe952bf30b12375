"""One run of one stage: everything from the command line, made once and not changed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lengthen.common.config.engine import Sampling
from lengthen.common.config.load import Config
from lengthen.common.engine.protocol import SamplingParameters
from lengthen.common.method.ids import attempt_seed
from lengthen.common.model.adapter import Adapter, open_adapter
from lengthen.common.model.folder import ModelFolder, context_limit, open_model
from lengthen.common.process.errors import UserError
from lengthen.common.store.paths import Folder
from lengthen.common.store.shards import Shard

ECHO_MODEL = ModelFolder(Path("echo"), "echo")  # the model in rows of the echo engine


@dataclass(frozen=True)
class Job:
    """A stage with its settings, its model and its adapter. `engine` is "" for a stage that trains."""

    stage: str
    config: Config
    output: Folder
    iteration: int
    engine: str
    model: ModelFolder = ECHO_MODEL
    adapter: Adapter | None = None
    adapter_folder: Folder | None = None
    limit: int | None = None
    shard: Shard | None = None
    overwrite: bool = False
    dry_run: bool = False

    @property
    def name(self) -> str:
        """For messages, such as `generate 0/4`: several shards may write to one terminal."""
        return f"{self.stage} {self.shard}" if self.shard else self.stage

    @property
    def folder(self) -> Folder:
        """Where this process writes: the output, or its shard's folder in it."""
        return self.shard.folder(self.output) if self.shard else self.output

    @property
    def constants(self) -> dict[str, Any]:
        """The columns that are the same in every generated row of this job."""
        return {"adapter": self.adapter.sha256 if self.adapter else None, "iteration": self.iteration, "model": self.model.name}

    def includes(self, row: str) -> bool:
        """Whether this process makes the row: it does not belong to another shard."""
        return self.shard is None or self.shard.holds(row)

    def sampling(self, sampling: Sampling, row: str, attempt: int | str) -> SamplingParameters:
        return SamplingParameters(**sampling.model_dump(), seed=attempt_seed(self.config.seed, row, attempt))


def open_job(config: Config, engine: str, adapter_folder: Folder | None, **options: Any) -> Job:
    """A job with its model and adapter checked and digested.

    Raises:
        UserError: the model or adapter folder is not usable; see `open_model` and `open_adapter`.
    """
    model = ECHO_MODEL if engine == "echo" else _open_model(config)
    adapter = open_adapter(adapter_folder, None if engine == "echo" else model) if adapter_folder else None
    return Job(config=config, engine=engine, model=model, adapter=adapter, adapter_folder=adapter_folder, **options)


def _open_model(config: Config) -> ModelFolder:
    model = open_model(config.model.path)
    limit = context_limit(model.path)
    if limit and config.model.max_model_len > limit:
        raise UserError(
            f"model.max_model_len: {config.model.max_model_len} is more than the context length of {model.path} ({limit}); lower it"
        )
    return model
