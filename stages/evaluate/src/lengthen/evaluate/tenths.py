"""Measures for each tenth of a text, to show changes from its beginning to its end."""

from __future__ import annotations

from itertools import pairwise

from lengthen.common.text.repetition import count_repetition


def tenths(text: str) -> list[str]:
    """Split a text into ten parts of about equal length, between words; their concatenation is the text."""
    cuts = [0, *(_between_words(text, len(text) * number // 10) for number in range(1, 10)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


def repetition_by_tenth(text: str, ngram: int) -> list[float]:
    """The share of each tenth's units in n-grams that occurred earlier anywhere in the text; in [0, 1]."""
    rates, read, before = [], "", (0, 0)
    for part in tenths(text):
        read += part
        counter = count_repetition(read, ngram)
        units, repeated = counter.units - before[0], counter.repeated - before[1]
        rates.append(max(0.0, min(1.0, repeated / units)) if units > 0 else 0.0)  # n-grams and code blocks can overlap the previous tenth
        before = counter.units, counter.repeated
    return rates


def _between_words(text: str, at: int) -> int:
    while 0 < at < len(text) and text[at - 1].isascii() and text[at].isascii() and not text[at].isspace() and not text[at - 1].isspace():
        at += 1
    return at
