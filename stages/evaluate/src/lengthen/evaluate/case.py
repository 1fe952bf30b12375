"""What evaluate works on: a prompt to be answered, or a text that is there already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

from lengthen.common.demand import Demand

Part = Literal["benchmark", "ruler", "guard", "data"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Case:
    """One row of scores to be, before its text.

    `part` says what the row is for: `benchmark` and `ruler` prompts are answered, `guard` answers get a loss, and `data`
    are rows that were made for training.
    """

    part: Part
    benchmark: str
    format: str
    id: str
    language: str
    prompt: str
    demand: Demand | None = None
    category: str = ""
    range: str = ""
    given: str | None = None


def spread(items: list[Item], limit: int | None) -> list[Item]:
    """At most `limit` items, evenly spread over the list, so that few of a sorted file still show all its sorts."""
    count = min(limit or len(items), len(items))
    return [items[number * len(items) // count] for number in range(count)]
