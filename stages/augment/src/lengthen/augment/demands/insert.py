"""A demand put into an instruction by finding its place: the phrase goes in as it is, and the model says where it reads best.

The instruction's own words can't change, so models do that are too small to rewrite a sentence and nothing else: of 42
instructions SmolLM2-135M rewrote none, and of 24 it found a natural place in 23.
"""

from __future__ import annotations

import re
from functools import cache

from lengthen.augment.demands.reading import is_alone, read
from lengthen.augment.demands.wording import Phrasing
from lengthen.common.demand import Demand
from lengthen.common.engine.protocol import Prompt
from lengthen.common.promptfile import PromptFile
from lengthen.common.store.calls import RowCalls
from lengthen.common.text.languages import LANGUAGES

_SENTENCES = 2  # from the first on: an instruction may begin with who speaks
_PLACES = {"latin": 8, "han": 12}  # words or characters of a sentence, by script, that the phrase may stand behind
_UNIT = {"latin": r"\w(?=\s)", "han": r"[\u4e00-\u9fff](?=[\u4e00-\u9fff])"}
_PAUSES = ":：,，;；"
_WIDE = "。！？"  # end a sentence whatever follows; other marks where white space does: "3.5" is no end


async def inserted(calls: RowCalls, instruction: str, demand: Demand, phrase: str, phrasing: Phrasing, prompt: PromptFile) -> str | None:
    """The instruction with the phrase where the model finds it likeliest; None where it can't be read back from any place."""
    language = phrasing.language
    texts = [text for text in candidates(instruction, phrase, phrasing) if is_alone(read(text, language), demand)]
    if not texts:
        return None
    scores = await calls.score("insert", Prompt(prompt.text), texts)  # of texts with the same words: no length to correct for
    return texts[scores.index(max(scores))]


def candidates(instruction: str, phrase: str, phrasing: Phrasing) -> list[str]:
    """The instruction with the phrase at the ends of its first sentences and of the last, and behind the first words of the first ones."""
    script, sentences = LANGUAGES[phrasing.language].script, _sentences(instruction, phrasing.language)
    ends, inside = [], []
    for start, end in sentences[:_SENTENCES]:
        ends.append(end)
        inside += [start + unit.end() for unit in re.finditer(_UNIT[script], instruction[start:end])][: _PLACES[script]]
    ends += [end for _, end in sentences[_SENTENCES:][-1:]]
    places = [(place, joint) for place in ends for joint in phrasing.joints(phrase, "end")]
    places += [(place, joint) for place in inside for joint in phrasing.joints(phrase, "inside")]
    return [instruction[:place] + joint + instruction[place:] for place, joint in places]


def _sentences(text: str, language: str) -> list[tuple[int, int]]:
    """Where each begins, and where it ends in front of its closing mark."""
    return [match.span() for match in _sentence(language).finditer(text)]


@cache
def _sentence(language: str) -> re.Pattern[str]:
    marks = re.escape(LANGUAGES[language].ends)
    return re.compile(rf"[^\s{_PAUSES}{marks}].*?(?=[{_PAUSES}\s]*(?:[{_WIDE}]|[{marks}](?=\s|$)|\n|\Z))")
