"""Read instructions, generate answers, write responses."""

from __future__ import annotations

from functools import partial

from lengthen.common.engine.recorded import RecordedEngine
from lengthen.common.stage.fingerprint import Recipe
from lengthen.common.stage.job import Job
from lengthen.common.stage.rows import make_rows
from lengthen.common.stage.run import Plan, run_stage, with_engine
from lengthen.common.stage.tasks import check_languages, count_tasks, tasks
from lengthen.common.store.commit import Outcome
from lengthen.common.store.paths import Folder
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import INSTRUCTIONS, RESPONSES
from lengthen.generate.answer import answer
from lengthen.generate.figures import FIGURES


def generate(job: Job, instructions: Folder) -> None:
    """The stage. See `__main__`."""
    settings, dataset = job.config.generate, open_dataset(instructions, INSTRUCTIONS)

    def prepare() -> Plan:
        check_languages(job, dataset)
        rows_in = count_tasks(job, dataset, settings.responses)

        def work(writer: DatasetWriter) -> Outcome:
            async def answers(engine: RecordedEngine) -> None:
                todo = tasks(job, dataset, settings.responses)
                await make_rows(job, engine, writer, todo, rows_in, partial(answer, job), settings.max_rejected_share)

            with_engine(job, writer, answers)
            return Outcome(rows_in, settings.max_rejected_share, FIGURES)

        return Plan({"rows": rows_in, "at_most_tokens": rows_in * settings.attempts * settings.sampling.max_tokens}, work)

    run_stage(
        job, Recipe(RESPONSES, __name__, ("check", "generate"), {"instructions": dataset}, excluded=("lengthen.generate.figures",)), prepare
    )
