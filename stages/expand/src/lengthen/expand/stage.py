"""Read responses, select some of them, make these longer, write expansions."""

from __future__ import annotations

from functools import partial

from lengthen.common.config.row_lengths import over_long_rows
from lengthen.common.engine.protocol import Prompt
from lengthen.common.engine.recorded import RecordedEngine
from lengthen.common.method.extend.prompt import load_extend_prompt
from lengthen.common.method.selection import left_out
from lengthen.common.process.progress import say
from lengthen.common.stage.fingerprint import Recipe
from lengthen.common.stage.job import Job
from lengthen.common.stage.rows import make_rows
from lengthen.common.stage.run import Plan, run_stage, with_engine
from lengthen.common.stage.tasks import check_languages, count_tasks, tasks
from lengthen.common.store.commit import Outcome
from lengthen.common.store.paths import Folder
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import EXPANSIONS, RESPONSES
from lengthen.expand.figures import FIGURES
from lengthen.expand.lengthen import lengthen
from lengthen.expand.order import longest_first

WINDOW = 16  # times the rows in flight: of so many rows the longest is the next


def expand(job: Job, responses: Folder) -> None:
    """The stage. See `__main__`."""
    settings, dataset = job.config.expand, open_dataset(responses, RESPONSES)
    biased, similar = settings.length_biased_selection, settings.max_similarity

    def prepare() -> Plan:
        check_languages(job, dataset)
        for line in over_long_rows(job.config):  # they can still be changed: finetune's limits decide nothing before it
            say(f"{job.name}: WARNING: {line}")
        rows_in = count_tasks(job, dataset, settings.extensions)
        calls = rows_in * settings.attempts * settings.rounds * 2

        def work(writer: DatasetWriter) -> Outcome:
            not_selected = left_out([dataset], "response", "words", job.config.seed, length_biased=biased, max_similarity=similar)

            async def expansions(engine: RecordedEngine) -> None:
                found = tasks(job, dataset, settings.extensions, not_selected)
                todo = longest_first(found, lambda response: response["words"], WINDOW * job.config.engine.rows_in_flight)
                await make_rows(job, engine, writer, todo, rows_in, partial(lengthen, job), settings.max_rejected_share)

            prompts = [load_extend_prompt(language, half=half) for language in job.config.languages for half in (True, False)]
            with_engine(job, writer, expansions, [Prompt(prompt.fill(instruction="", draft="")) for prompt in prompts])
            return Outcome(rows_in, settings.max_rejected_share, FIGURES)

        return Plan({"rows": rows_in, "at_most_calls": calls, "at_most_tokens": calls * settings.sampling.max_tokens}, work)

    decide_no_row = ("lengthen.expand.figures", "lengthen.expand.order")
    recipe = Recipe(EXPANSIONS, __name__, ("check", "expand"), {"responses": dataset}, excluded=decide_no_row)
    run_stage(job, recipe, prepare)
