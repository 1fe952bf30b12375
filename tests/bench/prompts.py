"""The requests of the parts that generate with a real model: instructions, and drafts to extend. The same in every run."""

from __future__ import annotations

import random

import measuring  # noqa: F401  # makes `prose` importable

KINDS = ("a guide", "an essay", "a report", "a story", "a lecture", "a blog post", "a review", "a letter")
SUBJECTS = (
    "keeping bees in a city", "the history of bridges", "learning an instrument as an adult", "a village without electricity",
    "repairing old furniture", "the first winter on a farm", "how libraries choose books", "walking across a mountain range",
)  # fmt: skip


def instructions(count: int, first: int = 0) -> list[str]:
    """Short instructions; no two of the first 64 have both kind and subject in common. `first`: where to begin."""
    pairs = [(kind, subject) for kind in KINDS for subject in SUBJECTS]
    random.Random(1).shuffle(pairs)
    chosen = [pairs[number % len(pairs)] for number in range(first, first + count)]
    return [f"Write {kind} about {subject}, for readers who know nothing about it." for kind, subject in chosen]


def drafts(count: int, words: int) -> list[str]:
    """Prose of at least so many words, with its paragraphs."""
    from prose import english

    return ["\n\n".join(paragraphs) for paragraphs in english(words, count, seed=words)]
