"""Answer and score one evaluation item."""

from __future__ import annotations

from typing import Any

from lengthen.common.engine.protocol import Prompt
from lengthen.common.engine.recorded import RowEngine
from lengthen.common.method.ids import attempt_seed
from lengthen.common.stage.job import Job
from lengthen.common.stage.tasks import Task
from lengthen.common.text.diversity import distinct
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.repetition import repetition
from lengthen.common.text.words import count_words, count_words_latin_runs
from lengthen.evaluate.item import EvaluationItem
from lengthen.evaluate.judge.judging import NOT_JUDGED, TextJudge
from lengthen.evaluate.length import length_score, s_l
from lengthen.evaluate.tenths import repetition_by_tenth


async def answer_and_score(job: Job, judge: TextJudge | None, task: Task[EvaluationItem], engine: RowEngine) -> dict[str, Any]:
    """A row of `scores`. No answer is rejected: a bad one gets a low score."""
    item = task.source
    text, made = await _text(item, job, engine)
    row = {**item_columns(item), **made, **text_measures(text, item), **job.constants, "response": text}
    row |= {"seed": attempt_seed(job.config.seed, task.id, 0), "loss": await _loss(item, engine) if item.part == "forgetting" else None}
    if judge and item.part in ("benchmark", "data"):
        return row | await judge.judge(item.prompt, text, item.language, engine)
    return row | NOT_JUDGED


async def _text(item: EvaluationItem, job: Job, engine: RowEngine) -> tuple[str, dict[str, Any]]:
    if item.given is not None:
        return item.given, {"tokens": 0, "finish_reason": "given"}
    sampling = job.sampling(job.config.evaluate.sampling, engine.row, 0)
    completion = await engine.complete("answer", Prompt(item.prompt), sampling)
    return completion.text.strip(), {"tokens": completion.tokens, "finish_reason": completion.finish_reason}


async def _loss(item: EvaluationItem, engine: RowEngine) -> float:
    """Mean negative log-probability per token of the given answer, in nats."""
    answer = item.given or ""
    [log_probability] = await engine.score("loss", Prompt(item.prompt), [answer])
    tokens = engine.count_tokens(Prompt(item.prompt, answer)) - engine.count_tokens(Prompt(item.prompt))
    return -log_probability / max(1, tokens)


def item_columns(item: EvaluationItem) -> dict[str, Any]:
    """The columns of the prompt and its demand."""
    demand = item.demand
    return {
        "part": item.part,
        "benchmark": item.benchmark,
        "format": item.format,
        "prompt_id": item.id,
        "category": item.category,
        "language": item.language,
        "kind": demand.kind if demand else "",
        "range": item.range,
        "asked": demand.target if demand else None,
        "lower": demand.lower if demand else None,
        "upper": demand.upper if demand else None,
        "prompt": item.prompt,
    }


def text_measures(text: str, item: EvaluationItem) -> dict[str, Any]:
    """The measures of a text that need no model. Each length score uses its own benchmark's word count."""
    words, latin_runs, demand = count_words(text), count_words_latin_runs(text), item.demand
    ngram = LANGUAGES[item.language].ngram
    return {
        "words": words,
        "words_latin_runs": latin_runs,
        "length_score": length_score(words, demand.lower, demand.upper) if demand else None,
        "s_l": s_l(latin_runs, demand.required) if demand and demand.required else None,
        "repetition": repetition(text, ngram),
        "repetition_by_tenth": repetition_by_tenth(text, ngram),
        "distinct_2": distinct([text], 2),
        "distinct_4": distinct([text], 4),
    }
