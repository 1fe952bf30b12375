"""What evaluate scores: a prompt that a model answers, or a text that exists already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

from lengthen.common.method.demand import Demand

Part = Literal["benchmark", "ruler", "forgetting", "data"]
Value = TypeVar("Value")


@dataclass(frozen=True)
class EvaluationItem:
    """The source of one row of scores.

    The parts `benchmark` and `ruler` have prompts that a model answers. `forgetting` has a given answer whose loss is
    measured. `data` is a row of training data, scored as it is.
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
    given: str | None = None  # the text, if it exists already


def evenly_spaced(values: list[Value], limit: int | None) -> list[Value]:
    """At most `limit` values at even distances, so that a few of a sorted list represent all of it."""
    count = min(limit or len(values), len(values))
    return [values[number * len(values) // count] for number in range(count)]
