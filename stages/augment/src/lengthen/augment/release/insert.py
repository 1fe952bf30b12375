"""Inserting a length demand into an instruction: the phrase stays as it is, and the model's probabilities choose the position.

The instruction's own words cannot change. So this works for models that are too small to rewrite a sentence: of 42
instructions SmolLM2-135M rewrote none, and of 24 it found a natural position in 23.
"""

from __future__ import annotations

import re
from functools import cache

from lengthen.augment.release.phrasing import Phrasing, load_phrasing
from lengthen.augment.release.reading import is_only_demand, read_demands
from lengthen.common.engine.protocol import Prompt
from lengthen.common.engine.recorded import RowEngine
from lengthen.common.method.demand import Demand
from lengthen.common.method.prompt_file import PromptFile
from lengthen.common.text.languages import LANGUAGES

_SENTENCES = 2  # more than one, since a sentence before the request may look like one: "I plan a boatyard."
_MAX_POSITIONS = {"latin": 8, "han": 12}  # positions inside a sentence, after its first words or characters, by script
_UNIT = {"latin": r"\w(?=\s)", "han": r"[\u4e00-\u9fff](?=[\u4e00-\u9fff])"}
_PAUSES = ":：,，;；"
_NOT_PROSE = re.compile(
    r"[ \t]*(?:[-*+•·|>#`]|\(?\d+[.)、．）]|[一二三四五六七八九十]+、)"
)  # list items, headings, table rows, quotes, code
_FULL_WIDTH_ENDS = "。！？"  # always end a sentence; other marks only before white space: "3.5" does not


async def insert_demand(
    engine: RowEngine, instruction: str, demand: Demand, phrase: str, phrasing: Phrasing, prompt: PromptFile
) -> str | None:
    """The instruction with the phrase at the most probable position; None if no position makes the demand readable."""
    language = phrasing.language
    texts = [text for text in candidates(instruction, phrase, phrasing) if is_only_demand(read_demands(text, language), demand)]
    if not texts:
        return None
    scores = await engine.score("insert", Prompt(prompt.text), texts)  # the same words in every text: no length correction
    return texts[scores.index(max(scores))]


def candidates(instruction: str, phrase: str, phrasing: Phrasing) -> list[str]:
    """The instruction with the phrase at every position that is tried; none if no sentence can take it.

    These are the ends of the first two sentences that ask for a text ("Write …"), and inside them after their first words. If
    there are none, they are the first two and the last one of an instruction of one line; in several lines they could be notes.
    """
    script, sentences = LANGUAGES[phrasing.language].script, _sentences(instruction, phrasing.language)
    chosen = [span for span in sentences if _request_pattern(phrasing.language).search(instruction[slice(*span)])][:_SENTENCES]
    if not chosen and "\n" not in instruction:
        chosen = sentences[:_SENTENCES] + sentences[_SENTENCES:][-1:]
    ends, inside = [end for _, end in chosen], []
    for start, end in chosen[:_SENTENCES]:
        inside += [start + unit.end() for unit in re.finditer(_UNIT[script], instruction[start:end])][: _MAX_POSITIONS[script]]
    insertions = [(position, text) for position in ends for text in phrasing.joined(phrase, "end")]
    insertions += [(position, text) for position in inside for text in phrasing.joined(phrase, "inside")]
    return [instruction[:position] + text + instruction[position:] for position, text in insertions]


def _sentences(text: str, language: str) -> list[tuple[int, int]]:
    """Start and end of each sentence of prose, without its closing mark."""
    spans = [match.span() for match in _sentence_pattern(language).finditer(text)]
    return [(start, end) for start, end in spans if not _NOT_PROSE.match(text, text.rfind("\n", 0, start) + 1)]


@cache
def _request_pattern(language: str) -> re.Pattern[str]:
    return re.compile(load_phrasing(language).raw["requests"], re.IGNORECASE)


@cache
def _sentence_pattern(language: str) -> re.Pattern[str]:
    marks = re.escape(LANGUAGES[language].ends)
    return re.compile(rf"[^\s{_PAUSES}{marks}].*?(?=[{_PAUSES}\s]*(?:[{_FULL_WIDTH_ENDS}]|[{marks}](?=\s|$)|\n|\Z))")
