"""Reading demands about length out of a text: the way back from `wording`, and a bit more than that, since models reword.

read("Write a story of between 2,000 and 3,000 words.", "en") == [Reading(Demand("range", (2000, 3000)), 17, 46)]
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from lengthen.augment.demands.numerals import NUMERAL, value
from lengthen.augment.demands.wording import load_phrasing
from lengthen.common.demand import Demand, Kind

_LEAST = 20  # words: below, it is about a title or a proverb of four characters, not about the text
_HEAD = 12  # characters between a head and its number
_ELLIPTIC = 100  # 三到五千: a range so wide leaves its first unit out


class Reading(NamedTuple):
    """A demand and where it stands. None: there is one, whose numbers can't be read, or which is in pages and the like."""

    demand: Demand | None
    start: int
    end: int


def read(text: str, language: str) -> list[Reading]:
    """Every demand about length in a text, in the order they stand there. A bare "3000 words" is about 3000 words.

    A number is one of words when their unit follows it, or when it stands behind a head such as "word count".
    """
    raw = load_phrasing(language).raw
    found = []
    for match in _pattern(language).finditer(text):
        if match["unit"] or re.search(_any(raw["heads"]), text[max(0, match.start() - _HEAD) : match.start()], re.IGNORECASE):
            demand = None if (match["unit"] or "").lower() in raw["other_units"] else _demand(match, raw["cues"])
            if demand is None or demand.upper >= _LEAST:
                found.append(Reading(demand, *match.span()))
    return found


def is_alone(found: list[Reading], demand: Demand) -> bool:
    """Whether this demand and no other was read."""
    return [reading.demand for reading in found] == [demand]


def _demand(match: re.Match[str], cues: dict[Kind, list[str]]) -> Demand | None:
    try:
        low, high = value(match["low"]), value(match["high"]) if match["high"] else None
        if high is not None:
            return Demand("range", (low, high)) if high < _ELLIPTIC * low else None
        said = {(match["before"] or "").lower(), (match["after"] or "").lower()}
        kind: Kind = next((kind for kind, spellings in cues.items() if said & set(spellings)), "about")
        return Demand(kind, low)
    except ValueError:
        return None


@cache
def _pattern(language: str) -> re.Pattern[str]:
    raw = load_phrasing(language).raw
    before, after = (_any(raw["hedges"][place]) for place in ("before", "after"))
    cue = _any([cue for spellings in raw["cues"].values() for cue in spellings])
    spelled = rf"|(?:\w+[ -])?(?:{_any(raw['spelled'])})" if raw["spelled"] else ""
    number, unit, joint = rf"(?:{NUMERAL}{spelled})", _any(raw["units"] + raw["other_units"]), _any(raw["joints"])
    return re.compile(
        rf"(?:(?<![a-z])(?:{before}) ?)?(?:(?<![a-z])(?P<before>{cue}) ?(?:of |about |around )?)?"
        rf"(?<![\d.,])(?P<low>{number})(?:(?: ?(?:{unit}))? ?(?:{joint}) ?(?P<high>{number}))?"
        rf"(?:[ -]?(?P<unit>{unit})(?![a-z]))?(?: ?(?P<after>{cue}))?(?: ?(?:{after}))?",
        re.IGNORECASE,
    )


def _any(spellings: list[str] | tuple[str, ...]) -> str:
    """One of them, the longest that fits."""
    return "|".join(re.escape(spelling) for spelling in sorted(spellings, key=len, reverse=True))
