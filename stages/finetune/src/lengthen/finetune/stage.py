"""Read expansions, make token rows, train, write the adapter and the tables that describe it."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.errors import UserError
from lengthen.common.extension import load_extend_prompt
from lengthen.common.ids import row_id
from lengthen.common.job import Job
from lengthen.common.model import ModelFolder
from lengthen.common.progress import say
from lengthen.common.store.place import file_digest
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables import ADAPTERS, EXPANSIONS, TRAIN_LOG
from lengthen.finetune.launch import train
from lengthen.finetune.mixing import in_use
from lengthen.finetune.rows import TokenRows, encode_rows, max_tokens

METHOD = 2  # raise it when the same settings give another adapter than before
ADAPTER = ".adapter"  # a dot name: `load_dataset` and pyarrow would read it as rows
_FILES = ("adapter_model.safetensors", "adapter_config.json")


def finetune(job: Job, expansions: list[Path], role: str, adapter: Path | None) -> None:
    """The stage. See `__main__`."""
    datasets = in_use(job, [open_dataset(folder, EXPANSIONS) for folder in expansions])
    model = job.open_model()
    before = job.open_adapter(adapter, model)
    _check_adapter(job)
    inputs = {f"expansions-{n}": job.note_input(f"expansions-{n}", dataset) for n, dataset in enumerate(datasets, start=1)}
    prompts = {f"extend.{language}": load_extend_prompt(language) for language in job.config.languages}
    origin = job.origin(METHOD, model, ["finetune"], inputs | {"role": role}, prompts if role == "extender" else {})
    if job.is_complete(origin):
        return
    rows_in = sum(min(job.limit or dataset.manifest.rows_out, dataset.manifest.rows_out) for dataset in datasets)
    if job.dry_run:
        job.say_plan(role=role, rows=rows_in, epochs=job.config.finetune.epochs, longest_row=max_tokens(job, role))
        return
    with job.writer(ADAPTERS, origin, overwrite=True) as writer:
        rows = encode_rows(job, datasets, role, writer)
        writer.require_rows(rows_in, rows.rows)
        say(f"finetune {role}: {rows.rows} rows, {rows.tokens:,} tokens, longest {rows.longest}, {rows.validation_rows} for validation")
        outcome = train(_plan(job, rows, model), writer.local_work, job.config.finetune.processes)
        _adopt(writer, writer.local_work / "saved")
        _write_log(writer, outcome["log"])
        writer.add(_row(job, role, model, before, rows, rows_in, outcome))
        figures = {"train_loss": outcome["train_loss"], "eval_loss": outcome["eval_loss"], "steps": outcome["steps"]}
        job.say_result(writer.commit(rows_in, figures, rows_used=rows.rows + rows.validation_rows))


def _check_adapter(job: Job) -> None:
    """An adapter goes on training with the shape it has."""
    if job.adapter is None:
        return
    found, wanted = json.loads((job.adapter.path / "adapter_config.json").read_text()), job.config.finetune.lora
    if (found["r"], found["lora_alpha"]) != (wanted.rank, wanted.alpha):
        raise UserError(
            f"finetune.lora: rank {wanted.rank}, alpha {wanted.alpha}, but {job.adapter.path} has {found['r']}, {found['lora_alpha']}; "
            "training goes on with an adapter's own shape: set the config to it"
        )


def _plan(job: Job, rows: TokenRows, model: ModelFolder) -> dict[str, Any]:
    settings = job.config.finetune
    with resources.as_file(resources.files("lengthen.finetune") / "deepspeed" / f"{settings.deepspeed}.json") as file:
        deepspeed = json.loads(file.read_text())
    return settings.model_dump(mode="json") | {
        "model": str(model.path),
        "adapter": str(job.adapter.path) if job.adapter else None,
        "train": str(rows.train),
        "validation": str(rows.validation) if rows.validation else None,
        "accumulation": settings.rows_per_step // (settings.rows_per_device * settings.processes),
        "deepspeed": deepspeed,
        "seed": job.config.seed,
    }


def _adopt(writer: DatasetWriter, saved: Path) -> None:
    """Take the weights and their configuration, and nothing else: the trainer also leaves pickles."""
    for name in _FILES:
        with writer.placing(f"{ADAPTER}/{name}") as temporary:
            shutil.copyfile(saved / name, temporary)


def _write_log(writer: DatasetWriter, log: list[dict[str, Any]]) -> None:
    with writer.placing(".train_log/part-00000.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(log, TRAIN_LOG.schema), temporary)


def _row(
    job: Job, role: str, model: ModelFolder, before: str | None, rows: TokenRows, rows_in: int, outcome: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": row_id("finetune", job.iteration, role, 0),
        "role": role,
        "base_model": model.sha256,
        "path": ADAPTER,
        "sha256": file_digest(job.output / ADAPTER / _FILES[0]),
        "adapter_sha256_before": before,
        "rows": rows.rows,
        "rejected_rows": rows_in - rows.rows - rows.validation_rows,
        "tokens": rows.tokens,
        "steps": outcome["steps"],
        "train_loss": outcome["train_loss"],
        "eval_loss": outcome["eval_loss"],
        "iteration": job.iteration,
        "seed": job.config.seed,
    }
