"""One prompt answered and measured."""

from __future__ import annotations

from typing import Any

from lengthen.common.engine.protocol import Engine, Prompt
from lengthen.common.ids import attempt_seed
from lengthen.common.job import Job
from lengthen.common.rows import Work
from lengthen.common.store.calls import Calls
from lengthen.common.text.diversity import distinct
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.repetition import repetition
from lengthen.common.text.words import count_words, count_words_latin_runs
from lengthen.evaluate.benchmark import BenchmarkPrompt
from lengthen.evaluate.length import length_score, s_l


async def answer_and_score(work: Work[BenchmarkPrompt], engine: Engine, job: Job, calls: Calls) -> dict[str, Any]:
    """A row of `scores` without its constants. Nothing is refused here: a bad answer is a bad score."""
    sampling = job.sampling(job.config.evaluate.sampling, work.id, 0)
    completion = await calls.of(engine, work.id).complete("answer", Prompt(work.source.prompt), sampling, adapter=job.adapter)
    text = completion.text.strip()
    return {
        "response": text,
        "tokens": completion.tokens,
        "finish_reason": completion.finish_reason,
        "seed": attempt_seed(job.config.seed, work.id, 0),
        **measures(text, work.source),
    }


def measures(text: str, prompt: BenchmarkPrompt) -> dict[str, Any]:
    """Everything about an answer that needs no model."""
    words = count_words(text)
    return {
        "prompt_id": prompt.id,
        "category": prompt.category,
        "language": prompt.language,
        "kind": prompt.kind,
        "lower": prompt.lower,
        "upper": prompt.upper,
        "prompt": prompt.prompt,
        "words": words,
        "words_latin_runs": count_words_latin_runs(text),
        "length_score": length_score(words, prompt.lower, prompt.upper),
        "s_l": s_l(words, prompt.asked) if prompt.asked else None,
        "repetition": repetition(text, LANGUAGES[prompt.language].ngram),
        "distinct_2": distinct([text], 2),
        "distinct_4": distinct([text], 4),
    }
