"""One run of one stage: its settings, and the frame that every stage shares.

with job.dataset(RESPONSES, origin, rows_in=n) as writer: ...
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lengthen.common.config import Config
from lengthen.common.engine.opening import open_engine
from lengthen.common.engine.protocol import Adapter, Engine, Prompt, SamplingParameters
from lengthen.common.errors import UserError
from lengthen.common.ids import attempt_seed
from lengthen.common.model import ModelFolder, context_limit, open_adapter, open_model
from lengthen.common.progress import say
from lengthen.common.promptfile import PromptFile
from lengthen.common.report import describe
from lengthen.common.settings import Sampling
from lengthen.common.store.manifest import Manifest, read_manifest
from lengthen.common.store.origin import Origin, completed
from lengthen.common.store.place import Folder
from lengthen.common.store.reader import Dataset
from lengthen.common.store.shard import Shard
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables import Table

Row = TypeVar("Row")
MIN_ROOM = 32  # tokens that a prompt must leave for an answer


@dataclass
class Job:
    """A stage's settings as the command line gave them."""

    stage: str
    config: Config
    output: Folder
    iteration: int
    engine: str
    limit: int | None = None
    shard: Shard | None = None
    overwrite: bool = False
    dry_run: bool = False
    lineage: dict[str, Any] = field(default_factory=dict)
    adapter: Adapter | None = None

    def open_model(self) -> ModelFolder:
        """The base model's folder, checked. With the echo engine there is none, and the rows say so."""
        if self.engine == "echo":
            return ModelFolder(Path("echo"), "echo")
        model = open_model(self.config.model.path)
        limit = context_limit(model.path)
        if limit and self.config.model.context_tokens > limit:
            raise UserError(f"model.context_tokens: {self.config.model.context_tokens} is more than {model.path} was made for ({limit})")
        self.lineage["model"] = str(model.path)
        return model

    def open_adapter(self, folder: Folder | None, model: ModelFolder) -> str | None:
        """Take an adapter's folder into the job; returns the digest of its weights for the rows."""
        if folder is None:
            return None
        self.adapter = open_adapter(folder, model if self.engine != "echo" else None)
        self.lineage["adapter"] = str(folder)
        return self.adapter.sha256

    def origin(
        self, method: int, model: ModelFolder, sections: Sequence[str], inputs: dict[str, str], prompts: dict[str, PromptFile]
    ) -> Origin:
        """What decides this stage's rows. `inputs` maps names to content digests; `method` is the stage's version."""
        fingerprint: dict[str, Any] = {"stage": self.stage, "method": method, "iteration": self.iteration, "limit": self.limit}
        fingerprint |= self.config.fingerprint(*sections, *(["echo"] if self.engine == "echo" else []))
        fingerprint |= {"engine": self.engine, "model": model.sha256, "adapter": self.adapter.sha256 if self.adapter else None}
        fingerprint |= {f"input.{name}": digest for name, digest in inputs.items()}
        fingerprint |= {f"prompt.{name}": prompt.digest for name, prompt in prompts.items()}
        fingerprint |= {"shard": str(self.shard)} if self.shard else {}
        return Origin(fingerprint, self.lineage)

    @property
    def folder(self) -> Folder:
        """Where this process writes: the output, or its shard of it."""
        return self.shard.folder(self.output) if self.shard else self.output

    def is_complete(self, origin: Origin) -> bool:
        """Whether there is nothing to do; says so. Refuses a folder that holds something else."""
        manifest = completed(self.folder, origin, self.overwrite)
        if self.shard and read_manifest(self.output) and manifest is None:
            raise UserError(f"{self.output} is complete already, and not of these shards; give another --output")
        if not self.shard and manifest is None and any(self.output.glob("shard-*")):
            raise UserError(f"{self.output} holds shards: seal it, or give another --output")
        if manifest:
            say(f"{self.stage}: {self.folder} is already complete ({manifest.rows_out} rows)")
        return manifest is not None

    def writer(self, table: Table, origin: Origin, *, overwrite: bool = False, replays: bool = False) -> DatasetWriter:
        """The writer of the output, to be entered with `with`."""
        return DatasetWriter(self.folder, table, origin, self.config.store, self.overwrite or overwrite, replays=replays)

    def with_engine(self, work: Callable[[Engine], None], prompts: Sequence[Prompt], with_base: bool = False) -> None:
        """Start the engine, check that `prompts` (with empty places) leave room for an answer, work, close.

        `with_base`: the base model is asked too, beside the adapter.
        """
        began = time.monotonic()
        engine = open_engine(self.engine, self.config, [self.adapter] if self.adapter else [], with_base)
        say(f"{self.stage}: engine {self.engine} ready after {time.monotonic() - began:.0f} s")
        try:
            self._check_room(engine, prompts)
            work(engine)
        finally:
            engine.close()

    def say_plan(self, **figures: Any) -> None:
        """The plan of a --dry-run: what would be made, from what, at most how large."""
        say(f"{self.stage} would write {self.output}: " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()))

    def say_result(self, manifest: Manifest) -> None:
        say(f"{self.stage}: {self.folder} complete: {describe(manifest)}")

    def takes(self, row: str) -> bool:
        """Whether a row is this process's to make."""
        return self.shard is None or self.shard.holds(row)

    def limited(self, rows: list[Row]) -> list[Row]:
        return rows[: self.limit] if self.limit else rows

    def sampling(self, sampling: Sampling, row: str, attempt: int | str) -> SamplingParameters:
        return SamplingParameters(**sampling.model_dump(), seed=attempt_seed(self.config.seed, row, attempt))

    def note_input(self, name: str, dataset: Dataset) -> str:
        """Put an input into the lineage; returns its content digest for the fingerprint."""
        self.lineage[f"input.{name}"] = str(dataset.folder)
        return dataset.manifest.content_digest

    def _check_room(self, engine: Engine, prompts: Sequence[Prompt]) -> None:
        for prompt in prompts:
            tokens = engine.count_tokens(prompt)
            if tokens + MIN_ROOM > self.config.model.context_tokens:
                raise UserError(
                    f"model.context_tokens: {self.config.model.context_tokens} is too short: the {self.stage} prompt alone "
                    f"takes {tokens} tokens, and {MIN_ROOM} must be left for an answer; raise it"
                )
