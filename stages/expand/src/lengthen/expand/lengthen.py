"""Make one draft longer, in rounds of two phases (Self-Lengthen, section 3.2; arXiv 2410.23933).

    phase 1   extend prompt for the first half of the draft        -> the first two thirds of the completion: the opening
    phase 2   extend prompt with the whole draft, and the opening as prefill -> the text is the opening + the continuation

Phase 2 continues the text of phase 1, so the result can be longer than one completion of the model. A row whose draft has grown
so long that a prompt does not fit has its longest text so far.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lengthen.common.engine.attempts import first_accepted
from lengthen.common.engine.protocol import Completion, Prompt, PromptTooLong
from lengthen.common.engine.recorded import RowEngine
from lengthen.common.method.extend.prompt import extend_prompt, own_words
from lengthen.common.method.ids import attempt_seed
from lengthen.common.stage.job import Job
from lengthen.common.stage.tasks import Task
from lengthen.common.text.check import Watch, check_text
from lengthen.common.text.digest import text_digest
from lengthen.common.text.paragraphs import BREAK, first_two_thirds, normalized, strip_ends
from lengthen.common.text.phrases.patterns import EDGE, find_meta_talk
from lengthen.common.text.prompt_text import check_prompt_text
from lengthen.common.text.rejection import Rejection
from lengthen.common.text.talk import trim_talk
from lengthen.common.text.words import count_words
from lengthen.expand.retention import kept_headings, kept_names

NO_ROUND_YET = Rejection("empty", "")


@dataclass
class Lengthening:
    """The state of one attempt at a row: its longest text so far, and the rejection of its last failed round."""

    engine: RowEngine
    job: Job
    instruction: str
    language: str
    best: str  # the response at first
    finish_reason: str = ""  # of `best`
    trimmed: str = ""  # what was cut off in its last round
    rejection: Rejection = NO_ROUND_YET
    _cut_off: str = ""

    async def rounds(self, attempt: int) -> int:
        """Make the rounds, each from the longest text so far, until a prompt does not fit. Returns how many were made.

        Raises:
            PromptTooLong: not even the first prompt fits, which is the same in all attempts.
        """
        settings, words = self.job.config.expand, count_words(self.best)
        for made in range(1, settings.rounds + 1):
            try:
                completion, longest = await self.round(f"{attempt}.{made}"), count_words(self.best)
            except PromptTooLong as error:
                if not self.engine.tokens:
                    raise
                self.rejection = Rejection("over_context", f"{error}, in round {made}")
                return made - 1
            if completion and count_words(completion.text) > longest:
                self.best, self.finish_reason, self.trimmed = completion.text, completion.finish_reason, self._cut_off
            elif completion:
                self.rejection = Rejection("growth", f"{count_words(completion.text)} words <= {longest} of the draft")
            if settings.target_growth and count_words(self.best) >= settings.target_growth * words:
                return made
        return settings.rounds

    async def round(self, name: str) -> Completion | None:
        """Make one round of two phases: phase 2, with the whole text. None if that fails the check; `rejection` then has the reason."""
        first = await self._complete("", name + ".1", half=True)
        if first.finish_reason not in ("stop", "length") or not first.text.strip():
            self.rejection = Rejection(first.finish_reason if first.text.strip() else "empty", "in phase 1")
            return None
        beginning = trim_talk(strip_ends(first.text), self.language)
        opening = first_two_thirds(beginning.text)
        if first.finish_reason == "length" and opening == normalized(beginning.text):  # the text would continue after half a sentence
            self.rejection = Rejection("finish_reason", "length in phase 1, in its only paragraph")
            return None
        if phrase := find_meta_talk(opening[:EDGE], self.language):  # the check would reject the whole text: skip phase 2
            self.rejection = Rejection("meta_talk", phrase)
            return None
        second = await self._complete(opening + BREAK, name + ".2")
        continuation = trim_talk(strip_ends(second.text), self.language)
        if not continuation.text:  # the opening alone would end where its text goes on
            self.rejection = Rejection("empty", "in phase 2")
            return None
        self._cut_off = "\n…\n".join(filter(None, (beginning.preface, continuation.removed)))
        text = opening + BREAK + continuation.text
        rejection = check_text(
            text,
            second.finish_reason,
            self.job.config.check,
            language=self.language,
            control_tokens=self.engine.control_tokens,
            prompt=own_words(self.language),
        )
        if rejection:
            self.rejection = rejection
            return None
        return replace(second, text=text)

    async def _complete(self, prefill: str, name: str, *, half: bool = False) -> Completion:
        watch = Watch(self.job.config.check, self.language)
        watch(prefill)
        prompt = Prompt(extend_prompt(self.language, self.instruction, self.best, half=half), prefill)
        sampling = self.job.sampling(self.job.config.expand.sampling, self.engine.row, name)
        return await self.engine.complete(name, prompt, sampling, watch=watch)


async def lengthen(job: Job, task: Task[dict[str, Any]], engine: RowEngine) -> dict[str, Any] | Rejection:
    """A row of `expansions`, or the rejection of its last attempt."""
    response, settings = task.source, job.config.expand
    for column in ("instruction", "response"):
        if rejection := check_prompt_text(response[column], engine.control_tokens):
            return rejection._replace(detail=f"in the {column}: {rejection.detail}")
    before = count_words(response["response"])

    async def attempt(number: int, engine: RowEngine) -> dict[str, Any] | Rejection:
        made = Lengthening(engine, job, response["instruction"], response["language"], response["response"])
        rounds = await made.rounds(number)
        if count_words(made.best) / before > settings.min_growth:
            seed = attempt_seed(job.config.seed, task.id, f"{number}.1.1")
            row = {"rounds": rounds, "finish_reason": made.finish_reason, "trimmed": made.trimmed, "seed": seed}
            return _row(response, made.best) | row | job.constants
        if made.best == response["response"]:  # no round passed the check
            return made.rejection
        return Rejection("growth", f"{count_words(made.best) / before:.2f} <= {settings.min_growth}", made.best)

    return await first_accepted(engine, settings.attempts, attempt, length=before)


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
