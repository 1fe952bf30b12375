"""Length demands of prompts, and LonGen's bounds for them. Evaluate scores by them; the release writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["about", "range", "above", "below"]
KINDS: tuple[Kind, ...] = ("about", "range", "above", "below")


def bounds(kind: Kind, length: int | tuple[int, int]) -> tuple[int, int]:
    """LonGen's bounds [a, b] in words: about 0.8 L to 1.2 L, range as given, above L to 1.5 L, below 0.5 L to L."""
    if isinstance(length, tuple):
        return length
    low, high = {"about": (0.8, 1.2), "above": (1.0, 1.5), "below": (0.5, 1.0)}[kind]
    return round(low * length), round(high * length)


@dataclass(frozen=True)
class Demand:
    """The length that a prompt asks for, in words. `length` is (a, b) for a range, and one number for other kinds.

    Raises:
        ValueError: `length` does not fit the kind, or its bounds are not positive and in order.
    """

    kind: Kind
    length: int | tuple[int, int]

    def __post_init__(self) -> None:
        if (self.kind == "range") != isinstance(self.length, tuple):
            raise ValueError("a range has a length [a, b], other kinds have one number")
        if self.lower < 1 or self.lower > self.upper:
            raise ValueError(f"length {self.length} has no valid bounds")

    @property
    def lower(self) -> int:
        return bounds(self.kind, self.length)[0]

    @property
    def upper(self) -> int:
        return bounds(self.kind, self.length)[1]

    @property
    def target(self) -> int:
        """The length in the demand, such as 500 in "more than 500 words"; the middle of a range."""
        return self.length if isinstance(self.length, int) else sum(self.length) // 2

    @property
    def required(self) -> int | None:
        """The length that an answer should have. Only `about` has one, so only it has the score S_l."""
        return self.target if self.kind == "about" else None
