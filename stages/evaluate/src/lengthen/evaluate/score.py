"""One case answered and measured."""

from __future__ import annotations

from typing import Any

from lengthen.common.engine.protocol import Engine, Prompt
from lengthen.common.ids import attempt_seed
from lengthen.common.job import Job
from lengthen.common.rows import Work
from lengthen.common.store.calls import Calls, RowCalls
from lengthen.common.text.diversity import distinct
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.repetition import repetition
from lengthen.common.text.words import count_words, count_words_latin_runs
from lengthen.evaluate.case import Case
from lengthen.evaluate.judge.judging import UNJUDGED, Judging
from lengthen.evaluate.length import length_score, s_l
from lengthen.evaluate.tenths import repetition_by_tenth


async def answer_and_score(work: Work[Case], engine: Engine | None, job: Job, calls: Calls, judging: Judging | None) -> dict[str, Any]:
    """A row of `scores` without its constants. Nothing is refused here: a bad answer is a bad score."""
    case = work.source
    asking = calls.of(engine, work.id)  # type: ignore[arg-type]  # where there is no engine, nothing asks it
    text, made = await _text(case, job, work.id, asking)
    row = {**described(case), **made, **measures(text, case), "response": text, "seed": attempt_seed(job.config.seed, work.id, 0)}
    row["loss"] = await _loss(case, job, asking) if case.part == "guard" else None
    judged = await judging.judge(case.prompt, text, case.language, asking) if judging and case.part in ("benchmark", "data") else UNJUDGED
    return row | judged


async def _text(case: Case, job: Job, row: str, calls: RowCalls) -> tuple[str, dict[str, Any]]:
    if case.given is not None:
        return case.given, {"tokens": 0, "finish_reason": "given"}
    sampling = job.sampling(job.config.evaluate.sampling, row, 0)
    completion = await calls.complete("answer", Prompt(case.prompt), sampling, adapter=job.adapter)
    return completion.text.strip(), {"tokens": completion.tokens, "finish_reason": completion.finish_reason}


async def _loss(case: Case, job: Job, calls: RowCalls) -> float:
    """Mean negative log-probability (nats) of a token of the given answer."""
    answer = case.given or ""
    [log_probability] = await calls.score("loss", Prompt(case.prompt), [answer], adapter=job.adapter)
    tokens = calls.engine.count_tokens(Prompt(case.prompt, answer)) - calls.engine.count_tokens(Prompt(case.prompt))
    return -log_probability / max(1, tokens)


def described(case: Case) -> dict[str, Any]:
    """The columns that say what was asked."""
    demand = case.demand
    return {
        "part": case.part,
        "benchmark": case.benchmark,
        "format": case.format,
        "prompt_id": case.id,
        "category": case.category,
        "language": case.language,
        "kind": demand.kind if demand else "",
        "range": case.range,
        "asked": demand.asked if demand else None,
        "lower": demand.lower if demand else None,
        "upper": demand.upper if demand else None,
        "prompt": case.prompt,
    }


def measures(text: str, case: Case) -> dict[str, Any]:
    """Everything about a text that needs no model. Each length score takes its own benchmark's count of words."""
    words, latin_runs, demand = count_words(text), count_words_latin_runs(text), case.demand
    ngram = LANGUAGES[case.language].ngram
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
