"""Read responses, select among them, make them longer, write expansions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lengthen.common.engine.protocol import Engine, Prompt
from lengthen.common.extension import load_extend_prompt
from lengthen.common.job import Job
from lengthen.common.report import mean, yield_figures
from lengthen.common.rows import Rejection, Work, check_languages, count_works, run_rows, works_of
from lengthen.common.selection import left_out
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables import EXPANSIONS, RESPONSES
from lengthen.expand.lengthen import lengthen

METHOD = 4  # raise it when the same settings give other rows than before


def expand(job: Job, responses: Path, adapter: Path | None) -> None:
    """The stage. See `__main__`."""
    dataset = open_dataset(responses, RESPONSES)
    model = job.open_model()
    adapter_digest = job.open_adapter(adapter, model)
    prompts = {language: load_extend_prompt(language) for language in job.config.languages}
    inputs = {"responses": job.note_input("responses", dataset)}
    origin = job.origin(METHOD, model, ["check", "expand"], inputs, {f"extend.{name}": p for name, p in prompts.items()})
    if job.is_complete(origin):
        return
    check_languages(job, dataset)
    settings = job.config.expand
    rows_in = count_works(job, dataset, settings.extensions)
    if job.dry_run:
        calls = rows_in * settings.attempts * settings.rounds * 2
        job.say_plan(rows=rows_in, at_most_calls=calls, at_most_tokens=calls * settings.sampling.max_tokens)
        return
    unused = left_out(
        [dataset],
        "response",
        "words",
        job.config.seed,
        length_biased=settings.length_biased_selection,
        max_similarity=settings.max_similarity,
    )
    constants = {"adapter": adapter_digest, "iteration": job.iteration, "model": model.name}
    with job.writer(EXPANSIONS, origin) as writer:

        def work(engine: Engine) -> None:
            async def make(item: Work[dict[str, Any]]) -> dict[str, Any] | Rejection:
                if why := unused.get(item.parent_id):
                    return Rejection(why.reason, why.detail)
                outcome = await lengthen(item, engine, writer.calls, job)
                return outcome if isinstance(outcome, Rejection) else outcome | constants

            run_rows(job, works_of(job, dataset, settings.extensions), rows_in, make, writer, settings.max_rejected_share)

        job.with_engine(work, [Prompt(prompt.fill(instruction="", draft="")) for prompt in prompts.values()])
        job.say_result(writer.commit(rows_in, _figures(writer), settings.max_rejected_share))


def _figures(writer: DatasetWriter) -> dict[str, Any]:
    words, attempts, growth = (writer.column(name).to_pylist() for name in ("expansion_words", "attempts", "growth"))
    kept = {name: mean(writer.column(name).to_pylist()) for name in ("kept_headings", "kept_names")}
    return yield_figures(words, writer.tokens_spent(), attempts, growth) | kept
