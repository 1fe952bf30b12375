"""Read instructions, answer them, write responses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lengthen.common.engine.protocol import Engine
from lengthen.common.ids import row_id
from lengthen.common.job import Job
from lengthen.common.rows import Rejection, Work, run_rows
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.tables import INSTRUCTIONS, RESPONSES
from lengthen.generate.answer import answer

METHOD = 1  # raise it when the same settings give other rows than before


def generate(job: Job, instructions: Path, adapter: Path | None) -> None:
    """The stage. See `__main__`."""
    dataset = open_dataset(instructions, INSTRUCTIONS)
    model = job.open_model()
    adapter_digest = job.open_adapter(adapter, model)
    origin = job.origin(METHOD, model, ["check", "generate"], {"instructions": job.note_input("instructions", dataset)}, {})
    if job.is_complete(origin):
        return
    settings = job.config.generate
    rows_in = min(job.limit or dataset.manifest.rows_out, dataset.manifest.rows_out) * settings.responses
    if job.dry_run:
        job.say_plan(rows=rows_in, at_most_tokens=rows_in * settings.attempts * settings.sampling.max_tokens)
        return
    constants = {"adapter": adapter_digest, "iteration": job.iteration, "model": model.name}
    writer = job.writer(RESPONSES, origin)

    def work(engine: Engine) -> None:
        async def make(item: Work[dict[str, Any]]) -> dict[str, Any] | Rejection:
            outcome = await answer(item, engine, job)
            return outcome if isinstance(outcome, Rejection) else outcome | constants

        run_rows("generate", _works(dataset, job), rows_in, make, writer, job.config.engine.rows_in_flight)

    job.with_engine(work, [])
    words = [row["words"] for row in writer.rows(["words"])]
    manifest = writer.commit(rows_in, {"mean_words": sum(words) / max(1, len(words))}, settings.max_rejected_share)
    job.say_result(manifest)


def _works(dataset: Dataset, job: Job) -> Iterator[Work[dict[str, Any]]]:
    for number, row in enumerate(dataset.rows()):
        if job.limit and number >= job.limit:
            return
        for sample in range(job.config.generate.responses):
            yield Work(row_id("generate", job.iteration, row["id"], sample), row["id"], sample, row)
