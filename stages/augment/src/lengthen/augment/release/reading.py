"""Reading the length demands in a text: the inverse of `phrasing`. It also knows other wordings, since models reword.

read_demands("Write a story of between 2,000 and 3,000 words.", "en") == [FoundDemand(Demand("range", (2000, 3000)), 17, 46)]
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from lengthen.augment.release.numerals import NUMERAL, value
from lengthen.augment.release.phrasing import load_phrasing
from lengthen.common.method.demand import Demand, Kind

_MIN_WORDS = 20  # smaller numbers are about a title, or a proverb of four characters, and not about the text
_HEAD_CHARACTERS = 24  # before a number, for a head such as "word count" and the link between them
_MAX_RANGE_RATIO = 100  # a wider range omits its first unit: 三到五千 is 3,000 to 5,000


class FoundDemand(NamedTuple):
    """A demand and its position. `demand` is None if it is unclear, or in another unit such as pages."""

    demand: Demand | None
    start: int
    end: int


def read_demands(text: str, language: str) -> list[FoundDemand]:
    """Every length demand in a text, in the order of the text. A plain "3000 words" is about 3000 words.

    A number counts words if the unit follows it, or if a head such as "word count" comes before it. The demand is None
    where it could be misread ("not over", "2000 words each"): no demand is better than a false one.
    """
    found = []
    for match in _demand_pattern(language).finditer(text):
        if match["unit"] or _head_pattern(language).search(text[max(0, match.start() - _HEAD_CHARACTERS) : match.start()]):
            demand = None if _is_unclear(text, match, language) else _demand(match, load_phrasing(language).raw)
            if demand is None or demand.upper >= _MIN_WORDS:
                found.append(FoundDemand(demand, *match.span()))
    spans = [(demand.start, demand.end) for demand in found]
    for match in _loose_pattern(language).finditer(text):
        small = (match["number"] or "").isdigit() and len(match["number"]) < len(str(_MIN_WORDS))
        if not small and not any(start < match.end() and match.start() < end for start, end in spans):
            found.append(FoundDemand(None, *match.span()))
    return sorted(found, key=lambda demand: demand.start)


def is_only_demand(found: list[FoundDemand], demand: Demand) -> bool:
    """Whether this demand was read, and no other one."""
    return [other.demand for other in found] == [demand]


def _is_unclear(text: str, match: re.Match[str], language: str) -> bool:
    """Whether the text around a demand may change its meaning."""
    raw, before = load_phrasing(language).raw, text[max(0, match.start() - 40) : match.start()]
    if match["unit"] and match["unit"].lower() in raw["other_units"]:
        return True
    if match["before"] and re.search(raw["negated"], before, re.IGNORECASE):
        return True
    after = re.compile(raw["unclear_after"], re.IGNORECASE)
    return bool(re.search(raw["unclear_before"], before, re.IGNORECASE) or after.match(text, match.end()))


def _demand(match: re.Match[str], raw: dict[str, Any]) -> Demand | None:
    try:
        low, high = value(match["low"]), value(match["high"]) if match["high"] else None
        if high is not None:
            return Demand("range", (low, high)) if high < _MAX_RANGE_RATIO * low else None
        named = [_kind(match["before"], raw["cues"]), _kind(match["after"], raw["cues_after"])]
        kinds: set[Kind] = {kind for kind in named if kind}
        return Demand(kinds.pop() if kinds else "about", low) if len(kinds) < 2 else None
    except (ValueError, OverflowError):
        return None


def _kind(cue: str | None, cues: dict[Kind, list[str]]) -> Kind | None:
    return next((kind for kind, spellings in cues.items() if cue and cue.lower() in spellings), None)


@cache
def _demand_pattern(language: str) -> re.Pattern[str]:
    raw = load_phrasing(language).raw
    before, after = (_alternatives(raw["hedges"][position]) for position in ("before", "after"))
    cue, cue_after = (_alternatives([cue for spellings in raw[name].values() for cue in spellings]) for name in ("cues", "cues_after"))
    spelled = rf"|(?:\w+[ -])?(?:{_alternatives(raw['spelled'])})" if raw["spelled"] else ""
    number, unit, joint = rf"(?:{NUMERAL}{spelled})", _alternatives(raw["units"] + raw["other_units"]), _alternatives(raw["joints"])
    # After a number with its own unit, the range's other end needs a unit too: not "2,000 words and 3 poems".
    other = rf"(?: ?(?:{unit}) ?(?:{joint}) ?(?={number}[ -]?(?:{unit}))| ?(?:{joint}) ?)(?P<high>{number})"
    return re.compile(
        rf"(?:(?<![a-z])(?:{before}) ?)?(?:(?<![a-z])(?P<before>{cue}) ?(?:of |about |around )?)?"
        rf"(?<![\d.,])(?P<low>{number})(?:{other})?"
        rf"(?:[ -]?(?P<unit>{unit})(?![a-z]))?(?: ?(?P<after>{cue_after})(?![a-z]))?(?: ?(?:{after}))?",
        re.IGNORECASE,
    )


@cache
def _head_pattern(language: str) -> re.Pattern[str]:
    """A head, followed only by a link to the number after it."""
    raw = load_phrasing(language).raw
    return re.compile(rf"(?:{_alternatives(raw['heads'])})[^\w]{{0,3}}(?:{raw['links']})?[^\w]{{0,3}}$", re.IGNORECASE)


@cache
def _loose_pattern(language: str) -> re.Pattern[str]:
    """Other text that looks like a demand: "3k words", 三千多字."""
    return re.compile(load_phrasing(language).raw["loose"], re.IGNORECASE)


def _alternatives(spellings: list[str] | tuple[str, ...]) -> str:
    """A pattern that matches the longest of these spellings."""
    return "|".join(re.escape(spelling) for spelling in sorted(spellings, key=len, reverse=True))
