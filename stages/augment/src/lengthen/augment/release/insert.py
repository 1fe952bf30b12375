"""Inserting a length demand into an instruction: the phrase stays as it is, and the model's probabilities choose the position.

The instruction's own words cannot change. So this works for models that are too small to rewrite a sentence: of 42
instructions SmolLM2-135M rewrote none, and of 24 it found a natural position in 23.
"""

from __future__ import annotations

import re
from functools import cache

from lengthen.augment.release.phrasing import Phrasing
from lengthen.augment.release.reading import is_only_demand, read_demands
from lengthen.common.engine.protocol import Prompt
from lengthen.common.engine.recorded import RowEngine
from lengthen.common.method.demand import Demand
from lengthen.common.method.prompt_file import PromptFile
from lengthen.common.text.languages import LANGUAGES

_SENTENCES = 2  # the first ones; more than one, since an instruction may begin with the role of the speaker
_MAX_POSITIONS = {"latin": 8, "han": 12}  # positions inside a sentence, after its first words or characters, by script
_UNIT = {"latin": r"\w(?=\s)", "han": r"[\u4e00-\u9fff](?=[\u4e00-\u9fff])"}
_PAUSES = ":：,，;；"
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
    """The instruction with the phrase at every position that is tried.

    These are the ends of the first sentences and of the last one, and inside the first sentences after their first words.
    """
    script, sentences = LANGUAGES[phrasing.language].script, _sentences(instruction, phrasing.language)
    ends, inside = [], []
    for start, end in sentences[:_SENTENCES]:
        ends.append(end)
        inside += [start + unit.end() for unit in re.finditer(_UNIT[script], instruction[start:end])][: _MAX_POSITIONS[script]]
    ends += [end for _, end in sentences[_SENTENCES:][-1:]]
    insertions = [(position, text) for position in ends for text in phrasing.joined(phrase, "end")]
    insertions += [(position, text) for position in inside for text in phrasing.joined(phrase, "inside")]
    return [instruction[:position] + text + instruction[position:] for position, text in insertions]


def _sentences(text: str, language: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, without its closing mark."""
    return [match.span() for match in _sentence_pattern(language).finditer(text)]


@cache
def _sentence_pattern(language: str) -> re.Pattern[str]:
    marks = re.escape(LANGUAGES[language].ends)
    return re.compile(rf"[^\s{_PAUSES}{marks}].*?(?=[{_PAUSES}\s]*(?:[{_FULL_WIDTH_ENDS}]|[{marks}](?=\s|$)|\n|\Z))")
