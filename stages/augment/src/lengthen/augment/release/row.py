"""One row of a release: an answer, and its instruction with a length demand that the answer meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lengthen.augment.release.collect import instruction_key
from lengthen.augment.release.draw import draw_demand
from lengthen.augment.release.phrasing import Phrasing
from lengthen.augment.release.reading import read_demands
from lengthen.augment.release.rewrite import DemandPrompts, Query, add_demand
from lengthen.common.engine.recorded import RowEngine
from lengthen.common.method.demand import Demand
from lengthen.common.method.ids import attempt_seed, row_random
from lengthen.common.method.prompt_file import load_prompt
from lengthen.common.stage.job import Job
from lengthen.common.stage.tasks import Task
from lengthen.common.text.digest import text_digest
from lengthen.common.text.prompt_text import check_prompt_text
from lengthen.common.text.rejection import Rejection
from lengthen.common.text.words import count_words

_FROM_ANSWER = ("language", "instruction_id", "source", "source_id", "iteration")


@dataclass(frozen=True)
class RowContext:
    """The values that all rows of a release share. `test` are the instructions of the test split, as `instruction_key`s."""

    job: Job
    phrasings: dict[str, Phrasing]
    prompts: dict[str, DemandPrompts]
    test: set[str]


def load_demand_prompts(language: str) -> DemandPrompts:
    package = "lengthen.augment.release"
    rewrite = load_prompt(package, f"rewrite.{language}.txt", {"instruction", "demand"})
    return DemandPrompts(rewrite, load_prompt(package, f"insert.{language}.txt", set()))


async def make_row(context: RowContext, task: Task[dict[str, Any]], engine: RowEngine) -> dict[str, Any] | Rejection:
    """A row of `dataset`, or why it is rejected."""
    job, answer = context.job, task.source
    instruction, text, language = answer["instruction"], answer["text"], answer["language"]
    if bad := check_prompt_text(instruction + text, engine.control_tokens):
        return bad
    words = count_words(text)
    row = {name: answer[name] for name in _FROM_ANSWER} | {
        "response": text,
        "words": words,
        "digest": text_digest(text),
        "split": "test" if instruction_key(instruction) in context.test else "train",
        "model": job.model.name,
        "seed": attempt_seed(job.config.seed, task.id, 0),
    }
    if own := read_demands(instruction, language):
        phrase = instruction[own[0].start : own[0].end]
        return row | _demand_columns(own[0].demand, Query(instruction, phrase, "instruction", 0, 0))
    rng = row_random(job.config.seed, task.id, "demand")
    demand = draw_demand(words, job.config.release, rng)
    if demand is None:
        return row | _demand_columns(None, Query(instruction, "", "", 0, 0))
    query = await add_demand(engine, instruction, demand, context.phrasings[language], context.prompts[language], job, rng)
    return query if isinstance(query, Rejection) else row | _demand_columns(demand, query)


def _demand_columns(demand: Demand | None, query: Query) -> dict[str, Any]:
    """The columns about the demand."""
    return {
        "query": query.text,
        "kind": demand.kind if demand else "none",
        "lower": demand.lower if demand else None,
        "upper": demand.upper if demand else None,
        "demand": query.phrase or None,
        "demand_by": query.by or None,
        "attempts": query.attempts,
        "tokens": query.tokens,
    }
