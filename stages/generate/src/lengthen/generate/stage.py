"""Read instructions, answer them, write responses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lengthen.common.engine.protocol import Engine
from lengthen.common.job import Job
from lengthen.common.report import yield_figures
from lengthen.common.rows import Rejection, Work, check_languages, count_works, run_rows, works_of
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables import INSTRUCTIONS, RESPONSES
from lengthen.generate.answer import answer

METHOD = 4  # raise it when the same settings give other rows than before


def generate(job: Job, instructions: Path, adapter: Path | None) -> None:
    """The stage. See `__main__`."""
    dataset = open_dataset(instructions, INSTRUCTIONS)
    model = job.open_model()
    adapter_digest = job.open_adapter(adapter, model)
    origin = job.origin(METHOD, model, ["check", "generate"], {"instructions": job.note_input("instructions", dataset)}, {})
    if job.is_complete(origin):
        return
    check_languages(job, dataset)
    settings = job.config.generate
    rows_in = count_works(job, dataset, settings.responses)
    if job.dry_run:
        job.say_plan(rows=rows_in, at_most_tokens=rows_in * settings.attempts * settings.sampling.max_tokens)
        return
    constants = {"adapter": adapter_digest, "iteration": job.iteration, "model": model.name}
    with job.writer(RESPONSES, origin) as writer:

        def work(engine: Engine) -> None:
            async def make(item: Work[dict[str, Any]]) -> dict[str, Any] | Rejection:
                outcome = await answer(item, engine, job, writer.calls)
                return outcome if isinstance(outcome, Rejection) else outcome | constants

            run_rows(job, works_of(job, dataset, settings.responses), rows_in, make, writer, settings.max_rejected_share)

        job.with_engine(work, [])
        figures = yield_figures(writer.column("words").to_pylist(), writer.tokens_spent(), writer.column("attempts").to_pylist())
        job.say_result(writer.commit(rows_in, figures, settings.max_rejected_share))
