"""The numbers in a text, with the cues next to them that say how long the text should be: "at least 2,000 words", 3000字左右."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lengthen.augment.release.cues import Cues
from lengthen.augment.release.numerals import multiple, value
from lengthen.common.method.demand import Demand, Kind

_MAX_CUE = 60  # characters of one cue
_MAX_RANGE_RATIO = 100  # a wider range is two numbers that do not belong together
_BOUNDS: dict[str, Literal["above", "below"]] = {"more": "above", "least": "above", "less": "below", "most": "below"}
_OPPOSITE: dict[str, Literal["above", "below"]] = {"more": "below", "less": "above"}  # with a negation


@dataclass(frozen=True)
class Quantity:
    """A number or a range, and its cues: `before` from the number outwards, and `after`.

    `start` and `end` are of the words that belong to the demand, `outer` and `outer_end` also of the words that link them to
    the rest of the sentence ("should be"); `number_start` and `number_end` are of the number and its unit alone.
    """

    low: int | None  # None: no valid number
    high: int | None  # of a range
    is_range: bool
    has_unit: bool
    is_attribute: bool  # of a noun: "2,000-word essay"
    before: tuple[str, ...]
    after: tuple[str, ...]
    number_start: int
    number_end: int
    start: int
    outer: int
    end: int
    outer_end: int

    @property
    def counts_words(self) -> bool:
        return self.has_unit or "head" in self.before

    @property
    def bound(self) -> Literal["above", "below", "unclear"] | None:
        """What its cues say together, such as "not" and "more than"."""
        found: list[str] = [_BOUNDS[name] for name in self.after if name in _BOUNDS]
        comparison = ""
        for name in self.before:
            if name == "negation":
                if not comparison:
                    return "unclear"
                found[-1], comparison = _OPPOSITE[comparison], ""
            elif name in _BOUNDS:
                found.append(_BOUNDS[name])
                comparison = name if name in _OPPOSITE else ""
        kinds = set(found)
        return None if not kinds else "unclear" if len(kinds) > 1 else kinds.pop()  # type: ignore[return-value]

    def demand(self) -> Demand | None:
        """None if it has no clear meaning.

        A soft bound with an approximate number ("within about 3,000 words", 控制在约3000字内) is LonGen's about, not below.
        """
        cues, bound = {*self.before, *self.after}, self.bound
        if self.low is None or bound == "unclear" or (bound and ("hedge" in cues or self.is_range)):
            return None
        if self.is_range:
            return demand_or_none("range", (self.low, self.high or 0))
        if "hedge" in cues:
            return demand_or_none("about", self.low)
        if bound or "within" in cues:
            return demand_or_none(bound or "below", self.low)
        return None if "keep" in cues else demand_or_none("about", self.low)


def demand_or_none(kind: Kind, length: int | tuple[int, int]) -> Demand | None:
    """The demand if its numbers are valid."""
    if isinstance(length, tuple) and not length[0] < length[1] < _MAX_RANGE_RATIO * length[0]:
        return None
    try:
        return Demand(kind, length)
    except (ValueError, OverflowError):
        return None


def find_quantities(text: str, cues: Cues) -> Iterator[Quantity]:
    """Every number in a text, also those that do not count words."""
    outer_end = 0
    for match in cues.quantity.finditer(text):
        # Not cues of another line, or of the number before: "500 words at least, 700 at most".
        first = max(outer_end, text.rfind("\n", 0, match.start()) + 1)
        before, start, outer = _cues_before(text, first, match, cues)
        suffixes = tuple(name.removeprefix("suffix_") for name, found in match.groupdict().items() if found and name.startswith("suffix_"))
        after, end, outer_end = _cues_after(text, match.end(), cues)
        low, high = _values(match)
        apart = match["joint"] and cues.joint_needs_between.fullmatch(match["joint"].strip(" -")) and "between" not in (*before, *after)
        yield Quantity(
            low=None if apart else low,
            high=high,
            is_range=bool(match["high"]),
            has_unit=bool(match["unit"]),
            is_attribute=match["attribute"] is not None,
            before=before,
            after=suffixes + after,
            number_start=match.start(),
            number_end=match.end(),
            start=start,
            outer=outer,
            end=end,
            outer_end=outer_end,
        )


def _cues_before(text: str, first: int, number: re.Match[str], cues: Cues) -> tuple[tuple[str, ...], int, int]:
    names: list[str] = []
    start = outer = number.start()
    while match := cues.before.search(text, max(first, outer - _MAX_CUE), outer):
        found = str(match.lastgroup).split("_")  # head_within: "word limit"
        names += found
        outer = match.start()
        if "head" not in found and not {*found}.isdisjoint(("negation", "hedge", "within", "keep", "between", *_BOUNDS)):
            start = outer if found != ["between"] or number["high"] else start
    return tuple(names), start, outer


def _cues_after(text: str, position: int, cues: Cues) -> tuple[tuple[str, ...], int, int]:
    names: list[str] = []
    end = outer = position
    while match := cues.after.match(text, outer):
        names.append(str(match.lastgroup))
        outer = match.end()
        if match.lastgroup != "neutral":
            end = outer
    return tuple(names), end, outer


def _values(match: re.Match[str]) -> tuple[int | None, int | None]:
    """The numbers; in "2 to 3 thousand" and 三到五千 the multiple is of both."""
    try:
        low, high = value(match["low"]), value(match["high"]) if match["high"] else None
    except ValueError:
        return None, None
    if high is not None and low < 100 and multiple(match["low"]) == 1:
        low *= multiple(match["high"])
    return low, high
