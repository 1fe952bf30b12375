"""Reading demands about length out of a text: the way back from `wording`, and a bit more than that, since models reword.

read("Write a story of between 2,000 and 3,000 words.", "en") == [Reading(Demand("range", (2000, 3000)), 17, 46)]
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from lengthen.augment.demands.numerals import NUMERAL, value
from lengthen.augment.demands.wording import load_phrasing
from lengthen.common.demand import Demand, Kind

_LEAST = 20  # words: below, it is about a title or a proverb of four characters, not about the text
_HEAD = 24  # characters in which a head and what joins it to its number stand
_ELLIPTIC = 100  # 三到五千: a range so wide leaves its first unit out


class Reading(NamedTuple):
    """A demand and where it stands. None: there is one, which can't be read for sure, or which is in pages and the like."""

    demand: Demand | None
    start: int
    end: int


def read(text: str, language: str) -> list[Reading]:
    """Every demand about length in a text, in the order they stand there. A bare "3000 words" is about 3000 words.

    A number is one of words when their unit follows it, or when it stands behind a head such as "word count". What can be
    misread ("not over", "2000 words each") is None: better no demand than a false one.
    """
    found = []
    for match in _pattern(language).finditer(text):
        if match["unit"] or _head(language).search(text[max(0, match.start() - _HEAD) : match.start()]):
            demand = None if _is_unclear(text, match, language) else _demand(match, load_phrasing(language).raw)
            if demand is None or demand.upper >= _LEAST:
                found.append(Reading(demand, *match.span()))
    spans = [(reading.start, reading.end) for reading in found]
    for match in _loose(language).finditer(text):
        small = (match["number"] or "").isdigit() and len(match["number"]) < len(str(_LEAST))
        if not small and not any(start < match.end() and match.start() < end for start, end in spans):
            found.append(Reading(None, *match.span()))
    return sorted(found, key=lambda reading: reading.start)


def is_alone(found: list[Reading], demand: Demand) -> bool:
    """Whether this demand and no other was read."""
    return [reading.demand for reading in found] == [demand]


def _is_unclear(text: str, match: re.Match[str], language: str) -> bool:
    """Whether what stands around a demand may turn it into another one."""
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
            return Demand("range", (low, high)) if high < _ELLIPTIC * low else None
        said = [_kind(match["before"], raw["cues"]), _kind(match["after"], raw["cues_after"])]
        kinds: set[Kind] = {kind for kind in said if kind}
        return Demand(kinds.pop() if kinds else "about", low) if len(kinds) < 2 else None
    except (ValueError, OverflowError):
        return None


def _kind(said: str | None, cues: dict[Kind, list[str]]) -> Kind | None:
    return next((kind for kind, spellings in cues.items() if said and said.lower() in spellings), None)


@cache
def _pattern(language: str) -> re.Pattern[str]:
    raw = load_phrasing(language).raw
    before, after = (_any(raw["hedges"][place]) for place in ("before", "after"))
    cue, cue_after = (_any([cue for spellings in raw[name].values() for cue in spellings]) for name in ("cues", "cues_after"))
    spelled = rf"|(?:\w+[ -])?(?:{_any(raw['spelled'])})" if raw["spelled"] else ""
    number, unit, joint = rf"(?:{NUMERAL}{spelled})", _any(raw["units"] + raw["other_units"]), _any(raw["joints"])
    # With a unit of its own a number is the range's other end only if one follows it too: not "2,000 words and 3 poems".
    other = rf"(?: ?(?:{unit}) ?(?:{joint}) ?(?={number}[ -]?(?:{unit}))| ?(?:{joint}) ?)(?P<high>{number})"
    return re.compile(
        rf"(?:(?<![a-z])(?:{before}) ?)?(?:(?<![a-z])(?P<before>{cue}) ?(?:of |about |around )?)?"
        rf"(?<![\d.,])(?P<low>{number})(?:{other})?"
        rf"(?:[ -]?(?P<unit>{unit})(?![a-z]))?(?: ?(?P<after>{cue_after})(?![a-z]))?(?: ?(?:{after}))?",
        re.IGNORECASE,
    )


@cache
def _head(language: str) -> re.Pattern[str]:
    """A head, and nothing but what joins it to the number behind it."""
    raw = load_phrasing(language).raw
    return re.compile(rf"(?:{_any(raw['heads'])})[^\w]{{0,3}}(?:{raw['links']})?[^\w]{{0,3}}$", re.IGNORECASE)


@cache
def _loose(language: str) -> re.Pattern[str]:
    """Whatever else looks like a demand: "3k words", 三千多字."""
    return re.compile(load_phrasing(language).raw["loose"], re.IGNORECASE)


def _any(spellings: list[str] | tuple[str, ...]) -> str:
    """One of them, the longest that fits."""
    return "|".join(re.escape(spelling) for spelling in sorted(spellings, key=len, reverse=True))
