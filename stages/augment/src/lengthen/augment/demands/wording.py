"""How a demand is put into words: phrases, numerals and sentences of a language, from `phrasings/LANGUAGE.json`.

"units", "joints", "heads", "links", "spelled", "cues", "cues_after"   what `reading` knows a demand by
    "other_units"   pages and the like: a length too, but none that can be counted in words
    "negated", "unclear_before", "unclear_after", "loose"   patterns of what makes it doubt one
"numerals"   in which ways numbers are written, drawn evenly: grouped (3,000), plain (3000), chinese (三千)
"phrases"    of each kind, with $length or $low and $high
"inside", "end"   what joins $demand to the word before it, within a sentence and at its end
"before", "after"   sentences with $demand, for a place in front of the instruction or behind it
"""

from __future__ import annotations

import json
import random
from functools import cache
from importlib import resources
from string import Template
from typing import Any, get_args

from lengthen.augment.demands.numerals import arabic, chinese
from lengthen.common.demand import Demand
from lengthen.common.ids import text_digest
from lengthen.common.settings import Language
from lengthen.common.text.languages import LANGUAGES

_WRITERS = {
    "grouped": lambda number: arabic(number, grouped=True),
    "plain": lambda number: arabic(number, grouped=False),
    "chinese": chinese,
}


class Phrasing:
    """The phrasing of one language."""

    def __init__(self, text: str, language: str) -> None:
        self.raw: dict[str, Any] = json.loads(text)
        self.digest, self.language = text_digest(text), language

    def phrase(self, demand: Demand, dice: random.Random) -> str:
        """Such as "about 3,000 words" or "三千至五千字"."""
        write = _WRITERS[dice.choice(self.raw["numerals"])]
        template = Template(dice.choice(self.raw["phrases"][demand.kind]))
        if isinstance(demand.length, tuple):
            low, high = demand.length
            return template.substitute(low=write(low), high=write(high))
        return template.substitute(length=write(demand.length))

    def joints(self, phrase: str, place: str) -> list[str]:
        """The phrase as it goes on from a word, such as " of about 3,000 words"; `place` is "inside" or "end"."""
        return [Template(joint).substitute(demand=phrase) for joint in self.raw[place]]

    def beside(self, instruction: str, phrase: str, dice: random.Random) -> str:
        """The instruction with a sentence about its length in front or behind."""
        place = dice.choice(("before", "after"))
        sentence = Template(dice.choice(self.raw[place])).substitute(demand=phrase)
        closed = instruction.rstrip()[-1:] in LANGUAGES[self.language].ends
        between = "\n\n" if "\n" in instruction else dice.choice((self._space, "\n")) if closed else "\n"
        return between.join((sentence, instruction) if place == "before" else (instruction, sentence))

    @property
    def _space(self) -> str:
        return "" if LANGUAGES[self.language].script == "han" else " "


@cache
def load_phrasing(language: str) -> Phrasing:
    file = resources.files("lengthen.augment.demands") / "phrasings" / f"{language}.json"
    return Phrasing(file.read_text(encoding="utf-8"), language)


def all_phrasings() -> dict[str, Phrasing]:
    """Of every language that a config may name."""
    return {language: load_phrasing(language) for language in get_args(Language)}
