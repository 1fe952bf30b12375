"""What the training program is told: the settings of `finetune` and `finetune.runtime` by their own names, and this run's paths."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from lengthen.common.stage.job import Job
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.text.digest import text_digest
from lengthen.finetune.checkpoint import CHECKPOINTS, FORMAT, newest_usable
from lengthen.finetune.machines import machine_count
from lengthen.finetune.rows import TokenRows


def training_plan(job: Job, rows: TokenRows, writer: DatasetWriter) -> dict[str, Any]:
    """The plan, as JSON values. `deepspeed` is the content of the file that the setting names.

    `digest` is what a checkpoint must have been made for: it holds the fingerprint and the token rows, and none of
    `finetune.runtime`, so that a training resumes with other ranks, another ZeRO stage or another batch on each device.
    """
    settings, runtime = job.config.finetune, job.config.finetune.runtime
    digest = text_digest(json.dumps([FORMAT, writer.origin.fingerprint, rows.digest], sort_keys=True))
    checkpoints = writer.local_work / CHECKPOINTS
    resume = newest_usable(checkpoints, digest)
    plan = settings.model_dump(mode="json", exclude={"runtime"}) | runtime.model_dump(mode="json")
    return plan | {
        "model": str(job.model.path),
        "dtype": job.config.model.dtype,
        "adapter": str(job.adapter.path) if job.adapter else None,
        "train": str(rows.train),
        "validation": str(rows.validation) if rows.validation else None,
        "deepspeed": deepspeed_settings(runtime.deepspeed),
        "seed": job.config.seed,
        "ranks": runtime.nproc_per_node * machine_count(),
        "digest": digest,
        "scratch": str(writer.scratch),
        "checkpoints": str(checkpoints),
        "resume": str(resume) if resume else None,
    }


def deepspeed_settings(name: str) -> dict[str, Any]:
    """The content of `deepspeed/NAME.json`, in DeepSpeed's own format."""
    found: dict[str, Any] = json.loads((resources.files("lengthen.finetune") / "deepspeed" / f"{name}.json").read_text())
    return found
