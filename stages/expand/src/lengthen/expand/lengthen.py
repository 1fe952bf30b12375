"""The extender's part: one draft made longer, in rounds of two phases (Self-Lengthen, section 3.2; arXiv 2410.23933).

    phase 1   extend prompt with the first half of the draft       -> keep the first two thirds of what comes
    phase 2   extend prompt with the whole draft, kept text as the beginning of the answer   -> kept text + continuation

The second phase starts where the first one's text is, so that the result can be longer than one answer of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lengthen.common.engine.protocol import Completion, Engine, Prompt
from lengthen.common.extension import extend_prompt, load_extend_prompt
from lengthen.common.ids import attempt_seed, text_digest
from lengthen.common.job import Job
from lengthen.common.rows import Rejection, Work
from lengthen.common.store.calls import Calls, RowCalls
from lengthen.common.text.check import Refusal, Watch, refusal, unfit
from lengthen.common.text.paragraphs import BREAK, first_two_thirds
from lengthen.common.text.phrases import EDGE, meta_talk
from lengthen.common.text.words import count_words
from lengthen.expand.kept import kept_headings, kept_names

NOTHING_YET = Refusal("empty", "")


@dataclass
class Lengthening:
    """One row on its way: what it starts from, what it costs, and why the last round came to nothing."""

    calls: RowCalls
    job: Job
    instruction: str
    language: str
    tokens: int = 0
    refused: Refusal = NOTHING_YET
    finish_reason: str = ""

    async def attempt(self, response: str, number: int) -> tuple[str, int]:
        """Rounds from the response on, each from the longest text so far. Returns that text and the rounds made."""
        best, settings = response, self.job.config.expand
        for made in range(1, settings.rounds + 1):
            text = await self.round(best, f"{number}.{made}")
            if text and count_words(text) > count_words(best):
                best = text
            elif text:
                self.refused = Refusal("growth", f"{count_words(text)} words, no more than the draft's {count_words(best)}")
            if settings.target_growth and count_words(best) >= settings.target_growth * count_words(response):
                return best, made
        return best, settings.rounds

    async def round(self, draft: str, name: str) -> str | None:
        """Both phases. None when the result fails the check; `refused` then says why."""
        opening = await self._write(draft, "", name + ".1", half=True)
        if opening.finish_reason not in ("stop", "length") or not opening.text.strip():
            self.refused = Refusal(opening.finish_reason if opening.text.strip() else "empty", "in phase 1")
            return None
        kept = first_two_thirds(opening.text)
        if opening.finish_reason == "length" and kept == opening.text.strip():
            self.refused = Refusal("finish_reason", "length in phase 1, in its only paragraph")  # a seam inside a sentence
            return None
        if begins_badly := meta_talk(kept[:EDGE], self.language):  # the whole text would begin so, and be refused: save phase 2
            self.refused = Refusal("meta_talk", begins_badly)
            return None
        rest = await self._write(draft, kept + BREAK, name + ".2")
        text = kept + BREAK + rest.text.strip()
        refused = refusal(
            text,
            rest.finish_reason,
            self.job.config.check,
            language=self.language,
            control_tokens=self.calls.engine.control_tokens,
            prompt=load_extend_prompt(self.language).text,
        )
        if refused:
            self.refused = refused
            return None
        self.finish_reason = rest.finish_reason
        return text

    async def _write(self, draft: str, prefill: str, name: str, *, half: bool = False) -> Completion:
        watch = Watch(self.job.config.check, self.language)
        watch(prefill)
        prompt = Prompt(extend_prompt(self.language, self.instruction, draft, half=half), prefill)
        sampling = self.job.sampling(self.job.config.expand.sampling, self.calls.row, name)
        completion = await self.calls.complete(name, prompt, sampling, adapter=self.job.adapter, watch=watch)
        self.tokens += completion.tokens
        return completion


async def lengthen(work: Work[dict[str, Any]], engine: Engine, calls: Calls, job: Job) -> dict[str, Any] | Rejection:
    """A row of `expansions` without its constants, or why there is none."""
    response, settings = work.source, job.config.expand
    for column in ("instruction", "response"):
        if bad := unfit(response[column], engine.control_tokens):
            return Rejection(bad.reason, f"the {column} holds {bad.detail}")
    row = Lengthening(calls.of(engine, work.id), job, response["instruction"], response["language"])
    before = count_words(response["response"])
    best = ""
    for attempt in range(1, settings.attempts + 1):
        best, rounds = await row.attempt(response["response"], attempt)
        if count_words(best) / before > settings.min_growth:
            seed = attempt_seed(job.config.seed, work.id, f"{attempt}.1.1")
            made = {"rounds": rounds, "attempts": attempt, "tokens": row.tokens, "finish_reason": row.finish_reason, "seed": seed}
            return _row(response, best) | made
    if best == response["response"]:  # no round of the last attempt passed the check
        return Rejection(row.refused.reason, row.refused.detail, "", settings.attempts, row.tokens)
    return Rejection("growth", f"{count_words(best) / before:.2f} <= {settings.min_growth}", best, settings.attempts, row.tokens)


def _row(response: dict[str, Any], expansion: str) -> dict[str, Any]:
    """The columns that follow from the texts alone."""
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
