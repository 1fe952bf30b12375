"""Instructions that demand a length themselves: a number of words or pages, or a form that is always short, such as a haiku."""

from __future__ import annotations

import re
from functools import cache

from lengthen.augment.release.phrasing import load_phrasing
from lengthen.augment.release.reading import read_demands


def demands_length(text: str, language: str) -> str | None:
    """The words of the first length demand of any form in an instruction, such as "a haiku"; None if it demands no length.

    A long form is no demand: "write a novel", "a five-part series".
    """
    spans = [(demand.start, demand.end) for demand in read_demands(text, language)]
    spans += [match.span() for match in _short_form_pattern(language).finditer(text)]
    return text[slice(*min(spans))] if spans else None


@cache
def _short_form_pattern(language: str) -> re.Pattern[str]:
    return re.compile("|".join(load_phrasing(language).raw["short_forms"]), re.IGNORECASE)
