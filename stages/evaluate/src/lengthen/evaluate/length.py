"""Scores of a text's length against what was asked for, as the benchmarks define them (shown in the stage's README)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["about", "range", "above", "below"]
KINDS: tuple[Kind, ...] = ("about", "range", "above", "below")


def bounds(kind: Kind, length: int | tuple[int, int]) -> tuple[int, int]:
    """LonGen's bounds [a, b] in words for a demand: about 0.8L..1.2L, range as given, above L..1.5L, below 0.5L..L."""
    if isinstance(length, tuple):
        return length
    low, high = {"about": (0.8, 1.2), "above": (1.0, 1.5), "below": (0.5, 1.0)}[kind]
    return round(low * length), round(high * length)


@dataclass(frozen=True)
class Demand:
    """What a prompt asks for, in words; `length` is [a, b] for a range, one number for every other kind.

    Raises:
        ValueError: a length that doesn't fit the kind, or is none.
    """

    kind: Kind
    length: int | tuple[int, int]

    def __post_init__(self) -> None:
        if (self.kind == "range") != isinstance(self.length, tuple):
            raise ValueError("a range has a length [a, b], every other kind has one number")
        if self.lower < 1 or self.lower > self.upper:
            raise ValueError(f"length {self.length} gives no bounds")

    @property
    def lower(self) -> int:
        return bounds(self.kind, self.length)[0]

    @property
    def upper(self) -> int:
        return bounds(self.kind, self.length)[1]

    @property
    def asked(self) -> int:
        """The length in the demand, such as 500 in "more than 500 words"; the middle of a range."""
        return self.length if isinstance(self.length, int) else sum(self.length) // 2

    @property
    def required(self) -> int | None:
        """The one length that an answer should have: only `about` names one, so only it has an S_l."""
        return self.asked if self.kind == "about" else None


def length_score(words: int, lower: int, upper: int) -> float:
    """LonGen's score in [0, 1]: 1 inside [a, b]; max(0, 2g/a - 1) when shorter; max(0, 3 - 2g/b) when longer."""
    if words < lower:
        return max(0.0, 2 * words / lower - 1)
    if words > upper:
        return max(0.0, 3 - 2 * words / upper)
    return 1.0


def s_l(words: int, asked: int) -> float:
    """LongBench-Write's S_l in [0, 100] for y words written and x asked for.

    100 max(0, 1 - (y/x - 1)/3) when y > x, else 100 max(0, 1 - (x/y - 1)/2), and 0 when y = 0.
    """
    if words == 0:
        return 0.0
    if words > asked:
        return 100 * max(0.0, 1 - (words / asked - 1) / 3)
    return 100 * max(0.0, 1 - (asked / words - 1) / 2)
