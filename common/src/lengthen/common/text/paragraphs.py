"""One splitter and one joiner of paragraphs, for expand and for the training rows of finetune."""

from __future__ import annotations

import re

_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
BREAK = "\n\n"


def split_paragraphs(text: str) -> list[str]:
    """Split at blank lines; at every newline when that gives two paragraphs or fewer. Without white space around them."""
    paragraphs = _parts(_BLANK_LINES.split(text))
    return paragraphs if len(paragraphs) > 2 else _parts(text.split("\n"))


def join_paragraphs(paragraphs: list[str]) -> str:
    return BREAK.join(paragraphs)


def first_half(text: str) -> str:
    """The first half of the paragraphs, rounded up: of a single paragraph, that paragraph (the reference: nothing)."""
    paragraphs = split_paragraphs(text)
    return join_paragraphs(paragraphs[: (len(paragraphs) + 1) // 2])


def first_two_thirds(text: str) -> str:
    """The first two thirds of the paragraphs, rounded down, but at least one (the reference keeps none of one)."""
    paragraphs = split_paragraphs(text)
    return join_paragraphs(paragraphs[: max(1, 2 * len(paragraphs) // 3)])


def _parts(pieces: list[str]) -> list[str]:
    return [stripped for piece in pieces if (stripped := piece.strip())]
