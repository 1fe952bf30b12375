"""Make one draft longer, in rounds of two phases (Self-Lengthen, section 3.2; arXiv 2410.23933).

    phase 1   extend prompt with the first half of the draft       -> the first two thirds of the completion: the opening
    phase 2   extend prompt with the whole draft, and the opening as prefill -> the text is the opening + the continuation

Phase 2 continues the text of phase 1, so the result can be longer than one completion of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lengthen.common.engine.protocol import Completion, Prompt
from lengthen.common.engine.recorded import RowEngine
from lengthen.common.method.extend.prompt import extend_prompt, load_extend_prompt
from lengthen.common.method.ids import attempt_seed
from lengthen.common.stage.job import Job
from lengthen.common.stage.tasks import Task
from lengthen.common.text.check import Watch, check_text
from lengthen.common.text.digest import text_digest
from lengthen.common.text.paragraphs import BREAK, first_two_thirds
from lengthen.common.text.phrases.patterns import EDGE, find_meta_talk
from lengthen.common.text.prompt_text import check_prompt_text
from lengthen.common.text.rejection import Rejection
from lengthen.common.text.words import count_words
from lengthen.expand.retention import kept_headings, kept_names

NO_ATTEMPT_YET = Rejection("empty", "")


@dataclass
class Lengthening:
    """The state of one row: its inputs, the tokens generated so far, and the rejection of the last failed round."""

    engine: RowEngine
    job: Job
    instruction: str
    language: str
    tokens: int = 0
    rejection: Rejection = NO_ATTEMPT_YET
    finish_reason: str = ""

    async def attempt(self, response: str, number: int) -> tuple[str, int]:
        """Make the rounds, starting from the response, each from the longest text so far.

        Returns:
            the longest text, and how many rounds were made.
        """
        best, settings = response, self.job.config.expand
        for made in range(1, settings.rounds + 1):
            text = await self.round(best, f"{number}.{made}")
            if text and count_words(text) > count_words(best):
                best = text
            elif text:
                self.rejection = Rejection("growth", f"{count_words(text)} words <= {count_words(best)} of the draft")
            if settings.target_growth and count_words(best) >= settings.target_growth * count_words(response):
                return best, made
        return best, settings.rounds

    async def round(self, draft: str, name: str) -> str | None:
        """Make one round of two phases. None if the text fails the check; `rejection` then has the reason."""
        first = await self._complete(draft, "", name + ".1", half=True)
        if first.finish_reason not in ("stop", "length") or not first.text.strip():
            self.rejection = Rejection(first.finish_reason if first.text.strip() else "empty", "in phase 1")
            return None
        opening = first_two_thirds(first.text)
        if first.finish_reason == "length" and opening == first.text.strip():  # the text would continue after half a sentence
            self.rejection = Rejection("finish_reason", "length in phase 1, in its only paragraph")
            return None
        if phrase := find_meta_talk(opening[:EDGE], self.language):  # the check would reject the whole text: skip phase 2
            self.rejection = Rejection("meta_talk", phrase)
            return None
        second = await self._complete(draft, opening + BREAK, name + ".2")
        text = opening + BREAK + second.text.strip()
        rejection = check_text(
            text,
            second.finish_reason,
            self.job.config.check,
            language=self.language,
            control_tokens=self.engine.control_tokens,
            prompt=load_extend_prompt(self.language).text,
        )
        if rejection:
            self.rejection = rejection
            return None
        self.finish_reason = second.finish_reason
        return text

    async def _complete(self, draft: str, prefill: str, name: str, *, half: bool = False) -> Completion:
        watch = Watch(self.job.config.check, self.language)
        watch(prefill)
        prompt = Prompt(extend_prompt(self.language, self.instruction, draft, half=half), prefill)
        sampling = self.job.sampling(self.job.config.expand.sampling, self.engine.row, name)
        completion = await self.engine.complete(name, prompt, sampling, watch=watch)
        self.tokens += completion.tokens
        return completion


async def lengthen(job: Job, task: Task[dict[str, Any]], engine: RowEngine) -> dict[str, Any] | Rejection:
    """A row of `expansions`, or the rejection of its last attempt."""
    response, settings = task.source, job.config.expand
    for column in ("instruction", "response"):
        if rejection := check_prompt_text(response[column], engine.control_tokens):
            return rejection._replace(detail=f"in the {column}: {rejection.detail}")
    row = Lengthening(engine, job, response["instruction"], response["language"])
    before = count_words(response["response"])
    best = ""
    for attempt in range(1, settings.attempts + 1):
        best, rounds = await row.attempt(response["response"], attempt)
        if count_words(best) / before > settings.min_growth:
            seed = attempt_seed(job.config.seed, task.id, f"{attempt}.1.1")
            made = {"rounds": rounds, "attempts": attempt, "tokens": row.tokens, "finish_reason": row.finish_reason, "seed": seed}
            return _row(response, best) | made | job.constants
    if best == response["response"]:  # no round of the last attempt passed the check
        return row.rejection._replace(attempts=settings.attempts, tokens=row.tokens)
    return Rejection("growth", f"{count_words(best) / before:.2f} <= {settings.min_growth}", best, settings.attempts, row.tokens)


def _row(response: dict[str, Any], expansion: str) -> dict[str, Any]:
    """The columns that depend only on the texts."""
    before, after = count_words(response["response"]), count_words(expansion)
    return {
        "response_id": response["id"],
        "instruction_id": response["instruction_id"],
        "instruction": response["instruction"],
        "language": response["language"],
        "response": response["response"],
        "expansion": expansion,
        "response_words": before,
        "expansion_words": after,
        "growth": after / before,
        "kept_headings": kept_headings(response["response"], expansion),
        "kept_names": kept_names(response["response"], expansion, response["language"]),
        "digest": text_digest(expansion),
    }
