"""What a prompt can ask for about length, and LonGen's bounds for it: what evaluate scores by, and what the release writes demands from."""

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
