"""Reading the length demands in a text: the inverse of `phrasing`. It also knows the other wordings that people and models use.

read_demands("Write a story of between 2,000 and 3,000 words.", "en") == [FoundDemand(Demand("range", (2000, 3000)), 17, 46)]

1. `find_quantities` finds the numbers, with the cues next to them ("at least", 左右).
2. A number that is not the length of the text is left out (a rate, a vocabulary, another text). One that is the length of a part,
   or has an open meaning, is found without its bounds.
3. Two bounds are one range. Demands that contradict each other are unclear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from lengthen.augment.release.cues import Cues, load_cues, plain
from lengthen.augment.release.quantities import Quantity, demand_or_none, find_quantities
from lengthen.common.method.demand import Demand

_MIN_WORDS = 20  # smaller numbers are about a title, or a proverb of four characters, and not about the text
_CONTEXT = 60  # characters before a number that may change its meaning
_GOALS = {"manner", "target"}  # the cues "in 500 words" and "to 500 words": not of a text that exists
_CLAUSE_END = re.compile(r"\s*(?:$|\n|[.,;:!?)）。，；：！？])")


class FoundDemand(NamedTuple):
    """A demand and its position. `demand` is None if it is unclear, of a part, or in another unit such as pages."""

    demand: Demand | None
    start: int
    end: int


def read_demands(text: str, language: str) -> list[FoundDemand]:
    """Every length demand in a text, in the order of the text. A plain "3000 words" is about 3000 words.

    The demand is None where it could be misread ("2000 words each", 3000多字): no demand is better than a false one.
    """
    text, cues = plain(text), load_cues(language)
    found, covered = [], []
    for quantity, demand in _joined_bounds(text, list(find_quantities(text, cues)), cues):
        covered.append((quantity.start, quantity.end))
        largest = demand.upper if demand else quantity.high or quantity.low
        if not _is_other_number(text, quantity, cues) and (largest is None or largest >= _MIN_WORDS):
            found.append(FoundDemand(None if _is_unclear(text, quantity, cues) else demand, quantity.start, quantity.end))
    for match in cues.loose.finditer(text):
        small = (match["number"] or "").isdigit() and len(match["number"]) < len(str(_MIN_WORDS))
        if not small and not any(start < match.end() and match.start() < end for start, end in covered):
            found.append(FoundDemand(None, *match.span()))
    return _reconciled(sorted(found, key=lambda demand: demand.start))


def is_only_demand(found: list[FoundDemand], demand: Demand) -> bool:
    """Whether this demand was read, and no other one."""
    return [other.demand for other in found] == [demand]


def _joined_bounds(text: str, quantities: list[Quantity], cues: Cues) -> Iterator[tuple[Quantity, Demand | None]]:
    """The quantities that count words. Two bounds next to each other are one range, and only one of them needs the unit."""
    waiting = quantities.copy()
    while waiting:
        first, second = waiting.pop(0), waiting[0] if waiting else None
        if second and (demand := _range_of(text, first, second, cues)):
            waiting.pop(0)
            yield replace(first, end=second.end, number_end=second.number_end, outer_end=second.outer_end), demand
        elif first.has_unit or ("head" in first.before and not cues.other_unit.match(text, first.outer_end)):
            yield first, first.demand()


def _range_of(text: str, first: Quantity, second: Quantity, cues: Cues) -> Demand | None:
    """The range of "at least 2,000 words but no more than 3,000"."""
    if not (first.counts_words or second.counts_words) or not cues.between_bounds.fullmatch(text, first.outer_end, second.outer):
        return None
    if not second.counts_words and not _CLAUSE_END.match(text, second.outer_end):
        return None  # 30 citations
    demands = (first.demand(), second.demand())
    return _range(*demands) if None not in demands else None


def _range(*demands: Demand | None) -> Demand | None:
    """Of a lower and an upper bound, in any order."""
    bounds = {demand.kind: demand.target for demand in demands if demand}
    return demand_or_none("range", (bounds["above"], bounds["below"])) if bounds.keys() == {"above", "below"} else None


def _is_other_number(text: str, quantity: Quantity, cues: Cues) -> bool:
    """Whether the text around a number says that it is not the length of the text that is asked for."""
    if any(cues.dropped_after.match(text, end) for end in (quantity.number_end, quantity.outer_end)):
        return True
    if _precedes(cues.topic, text, quantity.number_start):
        return True
    if quantity.is_attribute and not _GOALS & {*quantity.before} and _precedes(cues.attribute_topic, text, quantity.number_start):
        return True
    still_demanded = cues.still_demanded.match(text, quantity.outer_end)
    if quantity.is_attribute and _precedes(cues.dropped_before_attribute, text, quantity.number_start):
        return not still_demanded
    if _precedes(cues.dropped_before, text, quantity.number_start) and not _GOALS & {*quantity.before}:
        return not still_demanded
    demanded = (_GOALS | {"oblige", "within", "keep"}) & {*quantity.before} or _precedes(cues.demanded, text, quantity.outer)
    return not demanded and _precedes(cues.dropped_before, text, quantity.outer)


def _is_unclear(text: str, quantity: Quantity, cues: Cues) -> bool:
    """Whether the text around a demand may change its meaning, or makes it the length of a part."""
    if any(cues.unclear_after.match(text, end) for end in (quantity.number_end, quantity.outer_end)):
        return True
    if _precedes(cues.unclear_directly_before, text, quantity.start) or _precedes(cues.unclear_before_number, text, quantity.number_start):
        return True
    if _precedes(cues.of_each, text, quantity.outer):
        return True
    if "target" not in quantity.before and _precedes(cues.unclear_before, text, quantity.outer):
        return True
    if "state" in quantity.before and _precedes(cues.stated, text, quantity.outer) and not _precedes(cues.demanded, text, quantity.outer):
        return True
    if {"more", "less"} & {*quantity.before} and _precedes(cues.negated, text, quantity.outer):
        return True
    return quantity.is_attribute and _is_of_a_part(text, quantity, cues)


def _is_of_a_part(text: str, quantity: Quantity, cues: Cues) -> bool:
    """Whether the noun after the number is in the plural, or a part: "500-word reviews", "with a 200-word introduction"."""
    if cues.several.match(text, quantity.number_end) and not _precedes(cues.article, text, quantity.number_start):
        return True
    return bool(cues.part_after.match(text, quantity.number_end)) and _precedes(cues.part_before, text, quantity.number_start)


def _precedes(pattern: re.Pattern[str], text: str, position: int) -> bool:
    return bool(pattern.search(text, max(0, position - _CONTEXT), position))


def _reconciled(found: list[FoundDemand]) -> list[FoundDemand]:
    """A lower and an upper bound in different sentences are a range; other demands that differ are unclear."""
    demands = {demand.demand for demand in found if demand.demand}
    if len(demands) < 2:
        return found
    both = _range(*demands) if len(demands) == 2 else None
    return [other._replace(demand=both if other.demand else None) for other in found]
