"""The wording of length demands: phrases, numerals and sentences of a language, from `phrasings/LANGUAGE.json`.

"numerals"   forms of numbers, drawn with equal probability: grouped (3,000), plain (3000), chinese (三千)
"phrases"    of each kind, with $length, or $low and $high
"inside", "end"   how $demand follows a word inside a sentence, and at its end
"requests"   a pattern of sentences that ask for a text
"before", "after"   sentences with $demand that are put before or after the instruction
"""

from __future__ import annotations

import json
import random
from functools import cache
from importlib import resources
from string import Template
from typing import Any, get_args

from lengthen.augment.release.numerals import arabic, chinese
from lengthen.common.config.section import Language
from lengthen.common.method.demand import Demand
from lengthen.common.text.languages import LANGUAGES

_NUMERAL_FORMATS = {
    "grouped": lambda number: arabic(number, grouped=True),
    "plain": lambda number: arabic(number, grouped=False),
    "chinese": chinese,
}


class Phrasing:
    """The wording of one language."""

    def __init__(self, text: str, language: str) -> None:
        self.raw: dict[str, Any] = json.loads(text)
        self.language = language

    def phrase(self, demand: Demand, rng: random.Random) -> str:
        """Such as "about 3,000 words" or "三千至五千字"."""
        written = _NUMERAL_FORMATS[rng.choice(self.raw["numerals"])]
        template = Template(rng.choice(self.raw["phrases"][demand.kind]))
        if isinstance(demand.length, tuple):
            low, high = demand.length
            return template.substitute(low=written(low), high=written(high))
        return template.substitute(length=written(demand.length))

    def joined(self, phrase: str, position: str) -> list[str]:
        """The phrase as it follows a word, such as " of about 3,000 words"; `position` is "inside" or "end" (of a sentence)."""
        return [Template(template).substitute(demand=phrase) for template in self.raw[position]]

    def add_sentence(self, instruction: str, phrase: str, rng: random.Random) -> str:
        """The instruction with a sentence about the length before or after it."""
        position = rng.choice(("before", "after"))
        sentence = Template(rng.choice(self.raw[position])).substitute(demand=phrase)
        closed = instruction.rstrip()[-1:] in LANGUAGES[self.language].ends
        between = "\n\n" if "\n" in instruction else rng.choice((self._space, "\n")) if closed else "\n"
        return between.join((sentence, instruction) if position == "before" else (instruction, sentence))

    @property
    def _space(self) -> str:
        return "" if LANGUAGES[self.language].script == "han" else " "


@cache
def load_phrasing(language: str) -> Phrasing:
    file = resources.files("lengthen.augment.release") / "phrasings" / f"{language}.json"
    return Phrasing(file.read_text(encoding="utf-8"), language)


def all_phrasings() -> dict[str, Phrasing]:
    """By language, of every language that a config may contain."""
    return {language: load_phrasing(language) for language in get_args(Language)}
