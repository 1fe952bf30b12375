"""Instructions that demand a length themselves: a number of words or pages, or a form that is always short, such as a haiku."""

from __future__ import annotations

from lengthen.augment.release.cues import load_cues, plain
from lengthen.augment.release.reading import read_demands


def demands_length(text: str, language: str) -> str | None:
    """The words of the first length demand of any form in an instruction, such as "a haiku"; None if it demands no length.

    A long form is no demand: "write a novel", "a five-part series". Neither is a number of words that is not the text's.
    """
    spans = [(demand.start, demand.end) for demand in read_demands(text, language)]
    spans += [match.span(match.lastindex or 0) for match in load_cues(language).short_forms.finditer(plain(text))]
    return text[slice(*min(spans))].strip() if spans else None
