"""Adding a length demand to an instruction.

First the model rewrites the instruction with the demand. The result is accepted only if exactly this demand can be read in
it, and if the rest is still the instruction: its words are there, and few others. Otherwise the demand is inserted at the
most probable position (`insert`), or a sentence before or after the instruction states it.
"""

from __future__ import annotations

import re
from collections import Counter
from random import Random
from typing import NamedTuple

from lengthen.augment.contamination import units_without_punctuation
from lengthen.augment.release.insert import insert_demand
from lengthen.augment.release.phrasing import Phrasing
from lengthen.augment.release.reading import is_only_demand, read_demands
from lengthen.common.engine.protocol import Completion, Prompt
from lengthen.common.engine.recorded import RowEngine
from lengthen.common.method.demand import Demand
from lengthen.common.method.prompt_file import PromptFile
from lengthen.common.stage.job import Job
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.phrases.patterns import find_meta_talk
from lengthen.common.text.prompt_text import check_prompt_text
from lengthen.common.text.rejection import Rejection

_MIN_SHARED = 0.9  # share of the instruction's words that a rewritten one must contain; it must contain all numbers
_MAX_ADDED_SHARE = 0.15  # new words besides the demand, as a share of the instruction's words,
_MAX_ADDED = {"latin": 4, "han": 6}  # or this number if it is larger, by script: "Write it in … please", 请用……的篇幅
_INSERT_SHARE = 0.5  # of the instructions that were not rewritten; the others get a sentence: users write both
_SENTENCE_ATTEMPTS = 8  # until the demand can be read in the instruction with the sentence
_LINE = re.compile(r"^.*\S", re.MULTILINE)
_QUOTES = {'"': '"', "“": "”", "「": "」"}


class Query(NamedTuple):
    """An instruction with its demand. `by` is the method: "model", "inserted", "template", "instruction" (it had one), or ""."""

    text: str
    phrase: str
    by: str
    attempts: int
    tokens: int


class DemandPrompts(NamedTuple):
    """The prompts of one language."""

    rewrite: PromptFile
    insert: PromptFile


async def add_demand(
    engine: RowEngine, instruction: str, demand: Demand, phrasing: Phrasing, prompts: DemandPrompts, job: Job, rng: Random
) -> Query | Rejection:
    """The instruction with this demand; a rejection if no method makes the demand readable."""
    phrase, tokens, settings = phrasing.phrase(demand, rng), 0, job.config.release
    prompt = Prompt(prompts.rewrite.fill(instruction=instruction, demand=phrase))
    for attempt in range(settings.attempts):
        completion = await engine.complete(f"rewrite {attempt}", prompt, job.sampling(settings.sampling, engine.row, attempt))
        tokens += completion.tokens
        text = _unquoted(completion.text.strip())
        if rewrite_rejection(text, completion, instruction, demand, phrasing.language, engine.control_tokens) is None:
            [found] = read_demands(text, phrasing.language)
            return Query(text, text[found.start : found.end], "model", attempt + 1, tokens)
    if rng.random() < _INSERT_SHARE and (inserted := await insert_demand(engine, instruction, demand, phrase, phrasing, prompts.insert)):
        return Query(inserted, phrase, "inserted", settings.attempts, tokens)
    for _ in range(_SENTENCE_ATTEMPTS):
        text = phrasing.add_sentence(instruction, phrase, rng)
        if is_only_demand(read_demands(text, phrasing.language), demand):
            return Query(text, phrase, "template", settings.attempts, tokens)
        phrase = phrasing.phrase(demand, rng)
    return Rejection("own_demand", f"{phrase!r} cannot be read in the instruction with a sentence added")


def rewrite_rejection(
    text: str, completion: Completion, instruction: str, demand: Demand, language: str, control_tokens: frozenset[str]
) -> Rejection | None:
    """Why the rewritten text is not the instruction with this demand, or None."""
    if completion.finish_reason != "stop":
        return Rejection("finish_reason", completion.finish_reason)
    if bad := check_prompt_text(text, control_tokens):
        return bad
    found = read_demands(text, language)
    if not is_only_demand(found, demand):
        return Rejection("own_demand", ", ".join(text[other.start : other.end] for other in found) or "no demand")
    if found_talk := find_meta_talk(text, language):
        return Rejection("meta_talk", found_talk)
    rest = text[: found[0].start] + " " + text[found[0].end :]
    return _changed(instruction, rest, _MAX_ADDED[LANGUAGES[language].script])


def _changed(before: str, after: str, max_added: int) -> Rejection | None:
    """What the model changed in an instruction; `after` is the rewritten one without the words of the demand."""
    old, new = Counter(units_without_punctuation(before)), Counter(units_without_punctuation(after))
    removed, added = old - new, new - old
    if numbers := [unit for unit in removed if any(character.isdigit() for character in unit)]:
        return Rejection("changed", f"number {numbers[0]} removed")
    if removed.total() > (1 - _MIN_SHARED) * old.total():
        return Rejection("changed", f"{removed.total()} of {old.total()} words removed")
    if added.total() > max(max_added, _MAX_ADDED_SHARE * old.total()):
        return Rejection("changed", f"{added.total()} words added")
    if any(after.count(mark) > before.count(mark) for mark in (":", "：", "\n")):
        return Rejection("changed", "a heading or a line added")
    if len(_LINE.findall(after)) < len(_LINE.findall(before)):
        return Rejection("changed", "a line removed")
    return None


def _unquoted(text: str) -> str:
    return text[1:-1].strip() if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] else text
