"""Split and join paragraphs, in the same way in expand and for the training rows of finetune."""

from __future__ import annotations

import re

_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
BREAK = "\n\n"


def split_paragraphs(text: str) -> list[str]:
    """Split at blank lines, or at every newline if that gives two paragraphs or fewer. Paragraphs are stripped."""
    paragraphs = _parts(_BLANK_LINES.split(text))
    return paragraphs if len(paragraphs) > 2 else _parts(text.split("\n"))


def join_paragraphs(paragraphs: list[str]) -> str:
    return BREAK.join(paragraphs)


def first_half(text: str) -> str:
    """The first half of the paragraphs, rounded up; at least one (the reference code: none of a single one)."""
    paragraphs = split_paragraphs(text)
    return join_paragraphs(paragraphs[: (len(paragraphs) + 1) // 2])


def first_two_thirds(text: str) -> str:
    """The first two thirds of the paragraphs, rounded down; at least one (the reference code: none of a single one)."""
    paragraphs = split_paragraphs(text)
    return join_paragraphs(paragraphs[: max(1, 2 * len(paragraphs) // 3)])


def _parts(pieces: list[str]) -> list[str]:
    return [stripped for piece in pieces if (stripped := piece.strip())]
