"""Read expansions, make token rows, train, write the adapter and the tables that describe it."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.extension import load_extend_prompt
from lengthen.common.ids import row_id, text_digest
from lengthen.common.job import Job
from lengthen.common.model import ModelFolder
from lengthen.common.progress import say
from lengthen.common.store.files import write_bytes
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.origin import Origin
from lengthen.common.store.place import file_digest
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables import ADAPTERS, TRAIN_LOG
from lengthen.finetune.checkpoint import CHECKPOINTS, FORMAT, TRAINED, is_usable, newest
from lengthen.finetune.checks import check_adapter, check_inputs, check_ranks
from lengthen.finetune.estimate import describe_plan
from lengthen.finetune.launch import OUTCOME, PLAN, machine, machines, stopping_on_signals, train
from lengthen.finetune.mixing import in_use
from lengthen.finetune.rows import TokenRows, encode_rows, max_tokens, table_of

METHOD = 4  # raise it when the same settings give another adapter than before
ADAPTER = ".adapter"  # a dot name: `load_dataset` and pyarrow would read it as rows
_FILES = ("adapter_model.safetensors", "adapter_config.json")


def finetune(job: Job, expansions: list[Path], role: str, adapter: Path | None) -> None:
    """The stage. See `__main__`."""
    datasets = [open_dataset(folder, table_of(role)) for folder in expansions]
    check_inputs(datasets, role)
    datasets = datasets if role == "writer" else in_use(job, datasets)
    model = job.open_model()
    before = job.open_adapter(adapter, model)
    check_adapter(job)
    check_ranks(job, model)
    inputs = {f"expansions-{n}": job.note_input(f"expansions-{n}", dataset) for n, dataset in enumerate(datasets, start=1)}
    prompts = {f"extend.{language}": load_extend_prompt(language) for language in job.config.languages}
    origin = job.origin(METHOD, model, ["finetune"], inputs | {"role": role}, prompts if role == "extender" else {})
    if job.is_complete(origin):
        return
    rows_in = sum(min(job.limit or dataset.manifest.rows_out, dataset.manifest.rows_out) for dataset in datasets)
    if job.dry_run:
        job.say_plan(role=role, rows=rows_in, epochs=job.config.finetune.epochs, longest_row=max_tokens(job, role))
    elif machine() > 0:
        _take_part(job)
    else:
        _train(job, datasets, role, model, before, origin, rows_in)


def _train(job: Job, datasets: list[Dataset], role: str, model: ModelFolder, before: str | None, origin: Origin, rows_in: int) -> None:
    with stopping_on_signals(), job.writer(ADAPTERS, origin, overwrite=True) as writer:
        rows = encode_rows(job, datasets, role, writer)
        writer.require_rows(rows_in, rows.rows)
        plan = _plan(job, rows, model, origin, writer)
        say(f"finetune {role}: {describe_plan(plan, rows, model.path)}")
        trained = Path(plan["checkpoints"]) / TRAINED
        if not is_usable(trained, plan["digest"]):
            write_bytes(writer.scratch / PLAN, json.dumps(plan, indent=1).encode())
            train(writer.scratch, job.config.finetune.processes)
        outcome = json.loads((trained / OUTCOME).read_text())
        _adopt(writer, trained)
        _write_log(writer, outcome["log"])
        writer.add(_row(job, role, model, before, rows, rows_in, outcome))
        manifest = writer.commit(rows_in, _figures(rows, outcome), rows_used=rows.rows + rows.validation_rows)
        job.say_result(manifest)


def _take_part(job: Job) -> None:
    """On the machines after the first: run this machine's ranks. Machine 0 writes everything.

    It is over when there is another manifest than at the beginning (`--overwrite` has one there).
    """
    before = read_manifest(job.output)
    with TemporaryDirectory() as folder:
        train(Path(folder), job.config.finetune.processes, over=lambda: read_manifest(job.output) not in (None, before))


def _plan(job: Job, rows: TokenRows, model: ModelFolder, origin: Origin, writer: DatasetWriter) -> dict[str, Any]:
    settings = job.config.finetune
    digest = text_digest(json.dumps([FORMAT, origin.fingerprint, rows.digest], sort_keys=True))
    checkpoints = writer.local_work / CHECKPOINTS
    resume = newest(checkpoints, digest)
    return settings.model_dump(mode="json") | {
        "model": str(model.path),
        "dtype": job.config.model.dtype,
        "adapter": str(job.adapter.path) if job.adapter else None,
        "train": str(rows.train),
        "validation": str(rows.validation) if rows.validation else None,
        "deepspeed": json.loads((resources.files("lengthen.finetune") / "deepspeed" / f"{settings.deepspeed}.json").read_text()),
        "seed": job.config.seed,
        "ranks": settings.processes * machines(),
        "digest": digest,  # what a checkpoint must have been made for
        "scratch": str(writer.scratch),
        "checkpoints": str(checkpoints),
        "resume": str(resume) if resume else None,
    }


def _adopt(writer: DatasetWriter, trained: Path) -> None:
    """Put the weights and their configuration, and nothing else, beside the rows."""
    for name in _FILES:
        with writer.placing(f"{ADAPTER}/{name}") as temporary:
            shutil.copyfile(trained / name, temporary)


def _write_log(writer: DatasetWriter, log: list[dict[str, Any]]) -> None:
    with writer.placing(".train_log/part-00000.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(log, TRAIN_LOG.schema), temporary)


def _figures(rows: TokenRows, outcome: dict[str, Any]) -> dict[str, Any]:
    """For the manifest. Every token in is a token trained on, kept for validation, or in a rejected row."""
    names = ("train_loss", "eval_loss_before", "eval_loss", "steps", "ranks", "tokens_per_second", "padding_share", "peak_memory_bytes")
    return {name: outcome[name] for name in names} | {
        "tokens_in": rows.tokens + rows.validation_tokens + rows.rejected_tokens,
        "tokens_trained": rows.tokens,
        "tokens_validation": rows.validation_tokens,
        "tokens_rejected": rows.rejected_tokens,
    }


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
