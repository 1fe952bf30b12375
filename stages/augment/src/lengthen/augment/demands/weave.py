"""A demand put into an instruction: by the model, where it does no more than that; else at a place that the model finds for
it (`insert`), or by a sentence before or after.

What the model wrote is taken only if exactly this demand can be read out of it again, and if the rest is still the
instruction: its words are there, and hardly any others.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import NamedTuple

from lengthen.augment.contamination import bare_units
from lengthen.augment.demands.insert import inserted
from lengthen.augment.demands.reading import is_alone, read
from lengthen.augment.demands.wording import Phrasing
from lengthen.common.demand import Demand
from lengthen.common.engine.protocol import Completion, Prompt
from lengthen.common.job import Job
from lengthen.common.promptfile import PromptFile
from lengthen.common.store.calls import RowCalls
from lengthen.common.text.check import Refusal, unfit
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.phrases import meta_talk

_KEPT = 0.9  # share of the instruction's words that must still be there; all numbers must
_ADDED = 0.15  # share of its words that may come in beside the demand,
_ADDED_AT_LEAST = {"latin": 4, "han": 6}  # or so many, by script: "Write it in … please", 请用……的篇幅
_INSERTED = 0.5  # share of what the model didn't rewrite; the others get a sentence: people ask both ways
_SENTENCES = 8  # drawn until one reads well beside the instruction
_QUOTES = {'"': '"', "“": "”", "「": "」"}


class Query(NamedTuple):
    """An instruction with its demand in words, and who put it there ("model", "inserted" or "template")."""

    text: str
    phrase: str
    by: str
    attempts: int
    tokens: int


class Asking(NamedTuple):
    """The prompts of a language."""

    weave: PromptFile
    insert: PromptFile


async def woven(
    calls: RowCalls, instruction: str, demand: Demand, phrasing: Phrasing, asking: Asking, job: Job, dice: Random
) -> Query | Refusal:
    """The instruction with this demand; a refusal where even a sentence beside it can't be read back."""
    phrase, tokens, settings = phrasing.phrase(demand, dice), 0, job.config.release
    asked = Prompt(asking.weave.fill(instruction=instruction, demand=phrase))
    for attempt in range(settings.attempts):
        completion = await calls.complete(f"weave {attempt}", asked, job.sampling(settings.sampling, calls.row, attempt))
        tokens += completion.tokens
        text = _unquoted(completion.text.strip())
        if refusal(text, completion, instruction, demand, phrasing.language, calls.engine.control_tokens) is None:
            [found] = read(text, phrasing.language)
            return Query(text, text[found.start : found.end], "model", attempt + 1, tokens)
    if dice.random() < _INSERTED and (whole := await inserted(calls, instruction, demand, phrase, phrasing, asking.insert)):
        return Query(whole, phrase, "inserted", settings.attempts, tokens)
    for _ in range(_SENTENCES):
        text = phrasing.beside(instruction, phrase, dice)
        if is_alone(read(text, phrasing.language), demand):
            return Query(text, phrase, "template", settings.attempts, tokens)
        phrase = phrasing.phrase(demand, dice)
    return Refusal("own_demand", f"{phrase!r} can't be read beside the instruction")


def refusal(
    text: str, completion: Completion, instruction: str, demand: Demand, language: str, control_tokens: frozenset[str]
) -> Refusal | None:
    """Why what the model wrote is not the instruction with this demand, or None."""
    if completion.finish_reason != "stop":
        return Refusal("finish_reason", completion.finish_reason)
    if bad := unfit(text, control_tokens):
        return bad
    found = read(text, language)
    if not is_alone(found, demand):
        return Refusal("own_demand", ", ".join(text[reading.start : reading.end] for reading in found) or "no demand")
    if talk := meta_talk(text, language):
        return Refusal("meta_talk", talk)
    rest = text[: found[0].start] + " " + text[found[0].end :]
    return _changed(instruction, rest, _ADDED_AT_LEAST[LANGUAGES[language].script])


def _changed(before: str, after: str, may_come_in: int) -> Refusal | None:
    """What is wrong with the rest of a woven text, the demand's own words cut out."""
    old, new = Counter(bare_units(before)), Counter(bare_units(after))
    lost, added = old - new, new - old
    if numbers := [unit for unit in lost if any(character.isdigit() for character in unit)]:
        return Refusal("changed", f"{numbers[0]} is gone")
    if lost.total() > (1 - _KEPT) * old.total():
        return Refusal("changed", f"{lost.total()} of {old.total()} words are gone")
    if added.total() > max(may_come_in, _ADDED * old.total()):
        return Refusal("changed", f"{added.total()} words came in")
    if any(after.count(mark) > before.count(mark) for mark in (":", "：", "\n")):
        return Refusal("changed", "a heading came in")
    return None


def _unquoted(text: str) -> str:
    return text[1:-1].strip() if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] else text
