"""The generator's part: one instruction, one answer, tried again until the check accepts it."""

from __future__ import annotations

from typing import Any

from lengthen.common.engine.protocol import Engine, Prompt
from lengthen.common.ids import attempt_seed, text_digest
from lengthen.common.job import Job
from lengthen.common.rows import Rejection, Work
from lengthen.common.store.calls import Calls
from lengthen.common.text.check import Refusal, Watch, refusal, unfit
from lengthen.common.text.words import count_words


async def answer(work: Work[dict[str, Any]], engine: Engine, job: Job, calls: Calls) -> dict[str, Any] | Rejection:
    """A row of `responses` without its constants, or why there is none."""
    config, instruction = job.config, work.source
    language = instruction["language"]
    if bad := unfit(instruction["instruction"], engine.control_tokens):
        return Rejection(bad.reason, f"the instruction holds {bad.detail}")
    row, prompt = calls.of(engine, work.id), Prompt(instruction["instruction"])
    tokens, text, why, language = 0, "", Refusal("empty", ""), instruction["language"]
    for attempt in range(config.generate.attempts):
        sampling = job.sampling(config.generate.sampling, work.id, attempt)
        completion = await row.complete(str(attempt), prompt, sampling, adapter=job.adapter, watch=Watch(config.check, language))
        tokens += completion.tokens
        text = completion.text.strip()
        refused = refusal(text, completion.finish_reason, config.check, language=language, control_tokens=engine.control_tokens)
        if refused is None:
            return {
                "instruction_id": instruction["id"],
                "instruction": instruction["instruction"],
                "language": language,
                "response": text,
                "words": count_words(text),
                "tokens": tokens,
                "finish_reason": completion.finish_reason,
                "attempts": attempt + 1,
                "digest": text_digest(text),
                "seed": attempt_seed(config.seed, work.id, attempt),
            }
        why = refused
    return Rejection(why.reason, why.detail, text, config.generate.attempts, tokens)
