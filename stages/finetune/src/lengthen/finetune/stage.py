"""Read expansions, make token rows, train, write the adapter and the tables that describe it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.method.ids import row_id
from lengthen.common.process.progress import say
from lengthen.common.stage.fingerprint import Recipe, origin_of
from lengthen.common.stage.job import Job
from lengthen.common.stage.run import Plan, run_stage
from lengthen.common.store.commit import Outcome
from lengthen.common.store.files import write_bytes
from lengthen.common.store.paths import Folder, file_digest
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import ADAPTERS, TRAIN_LOG
from lengthen.finetune.checkpoint import TRAINED, is_usable
from lengthen.finetune.checks import check_adapter, check_inputs, check_ranks
from lengthen.finetune.estimate import describe_training
from lengthen.finetune.figures import figures
from lengthen.finetune.launch import OUTCOME, PLAN, train, train_with_first_machine
from lengthen.finetune.machines import machine_rank
from lengthen.finetune.mixing import datasets_in_use
from lengthen.finetune.plan import training_plan
from lengthen.finetune.rows import TokenRows, encode_rows, max_tokens, table_of

ADAPTER = ".adapter"  # a dot name: `load_dataset` and pyarrow would read it as rows
_FILES = ("adapter_model.safetensors", "adapter_config.json")

# Not in the fingerprint, since none of them can change a learned weight or a column of the adapter's row: what is refused
# before a training or stops it (checks, failures), how processes are started and found (launch, machines, parent_death), how
# a checkpoint is put on disk (its FORMAT is in the plan's digest), and what the user is told (estimate, figures, measure,
# progress). Everything else is: rows, batches, learning rates, the loss, LoRA, DeepSpeed and its settings.
EXCLUDED = tuple(
    f"lengthen.finetune.{module}"
    for module in (
        "checkpoint",
        "checks",
        "estimate",
        "failures",
        "figures",
        "launch",
        "machines",
        "measure",
        "parent_death",
        "progress",
    )
)


def finetune(job: Job, expansions: list[Folder], role: str) -> None:
    """The stage. See `__main__`."""
    datasets = [open_dataset(folder, table_of(role)) for folder in expansions]
    check_inputs(datasets, role)
    datasets = datasets if role == "writer" else datasets_in_use(job, datasets)
    check_adapter(job)
    check_ranks(job)
    recipe = recipe_of(datasets, role)

    def prepare() -> Plan:
        rows_in = sum(min(job.limit or dataset.manifest.rows_out, dataset.manifest.rows_out) for dataset in datasets)

        def work(writer: DatasetWriter) -> Outcome:
            return _make_adapter(job, datasets, role, writer, rows_in)

        epochs, longest = job.config.finetune.num_train_epochs, max_tokens(job, role)
        return Plan({"role": role, "rows": rows_in, "epochs": epochs, "longest_row": longest}, work, restarts=True)

    if machine_rank() > 0 and not job.dry_run:
        train_with_first_machine(job, origin_of(job, recipe))
    else:
        run_stage(job, recipe, prepare)


def recipe_of(datasets: list[Dataset], role: str) -> Recipe:
    """What decides the adapter."""
    inputs = {f"expansions-{number}": dataset for number, dataset in enumerate(datasets, start=1)}
    return Recipe(
        ADAPTERS, __name__, ("finetune",), inputs, values={"role": role}, programs=("lengthen.finetune.train",), excluded=EXCLUDED
    )


def _make_adapter(job: Job, datasets: list[Dataset], role: str, writer: DatasetWriter, rows_in: int) -> Outcome:
    rows = encode_rows(job, datasets, role, writer)
    writer.require_rows(rows_in, rows.rows)
    plan = training_plan(job, rows, writer)
    say(f"finetune {role}: {describe_training(plan, rows, job.model.path)}")
    trained = Path(plan["checkpoints"]) / TRAINED
    if not is_usable(trained, plan["digest"]):
        write_bytes(writer.scratch / PLAN, json.dumps(plan, indent=1).encode())
        train(writer.scratch, job.config.finetune.runtime.nproc_per_node)
    outcome = json.loads((trained / OUTCOME).read_text())
    _write_adapter(writer, trained)
    _write_log(writer, outcome["log"])
    writer.add(_row(job, role, rows, rows_in, outcome))
    return Outcome(rows_in, rows_used=rows.rows + rows.validation_rows, summary=figures(rows, outcome))


def _write_adapter(writer: DatasetWriter, trained: Path) -> None:
    """Copy the weights and their configuration, and nothing else, into the dataset's folder."""
    for name in _FILES:
        with writer.placing(f"{ADAPTER}/{name}") as temporary:
            shutil.copyfile(trained / name, temporary)


def _write_log(writer: DatasetWriter, log: list[dict[str, Any]]) -> None:
    with writer.placing(".train_log/part-00000.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(log, TRAIN_LOG.schema), temporary)


def _row(job: Job, role: str, rows: TokenRows, rows_in: int, outcome: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row_id("finetune", job.iteration, role, 0),
        "role": role,
        "base_model": job.model.sha256,
        "path": ADAPTER,
        "sha256": file_digest(job.output / ADAPTER / _FILES[0]),
        "adapter_sha256_before": job.adapter.sha256 if job.adapter else None,
        "rows": rows.rows,
        "rejected_rows": rows_in - rows.rows - rows.validation_rows,
        "tokens": rows.tokens,
        "steps": outcome["steps"],
        "train_loss": outcome["train_loss"],
        "eval_loss": outcome["eval_loss"],
        "iteration": job.iteration,
        "seed": job.config.seed,
    }
