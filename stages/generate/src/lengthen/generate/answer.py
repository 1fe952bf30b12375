"""One answer to one instruction, generated again until it passes the check."""

from __future__ import annotations

from typing import Any

from lengthen.common.engine.attempts import first_accepted
from lengthen.common.engine.protocol import Prompt
from lengthen.common.engine.recorded import RowEngine
from lengthen.common.method.ids import attempt_seed
from lengthen.common.stage.job import Job
from lengthen.common.stage.tasks import Task
from lengthen.common.text.check import Watch, check_text
from lengthen.common.text.digest import text_digest
from lengthen.common.text.paragraphs import strip_ends
from lengthen.common.text.prompt_text import check_prompt_text
from lengthen.common.text.rejection import Rejection
from lengthen.common.text.talk import trim_talk
from lengthen.common.text.words import count_words


async def answer(job: Job, task: Task[dict[str, Any]], engine: RowEngine) -> dict[str, Any] | Rejection:
    """A row of `responses`, or the rejection of its last attempt."""
    config, instruction = job.config, task.source
    language = instruction["language"]
    if rejection := check_prompt_text(instruction["instruction"], engine.control_tokens):
        return rejection._replace(detail=f"in the instruction: {rejection.detail}")
    prompt = Prompt(instruction["instruction"])

    async def attempt(number: int, engine: RowEngine) -> dict[str, Any] | Rejection:
        name = number - 1  # in calls and seeds, attempts are counted from 0
        sampling = job.sampling(config.generate.sampling, task.id, name)
        watch = Watch(config.check, language)
        completion = await engine.complete(str(name), prompt, sampling, watch=watch)
        trimmed = trim_talk(strip_ends(completion.text), language)
        text = trimmed.text
        controls = engine.control_tokens
        rejection = check_text(text, completion.finish_reason, config.check, language=language, control_tokens=controls, watch=watch)
        if rejection:
            return rejection._replace(text=text)
        return {
            "instruction_id": instruction["id"],
            "instruction": instruction["instruction"],
            "language": language,
            "response": text,
            "trimmed": trimmed.removed,
            "words": count_words(text),
            "finish_reason": completion.finish_reason,
            "digest": text_digest(text),
            "seed": attempt_seed(config.seed, task.id, name),
            **job.constants,
        }

    return await first_accepted(engine, config.generate.attempts, attempt)
