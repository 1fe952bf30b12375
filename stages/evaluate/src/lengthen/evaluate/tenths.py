"""How a text changes from its beginning to its end, by tenth."""

from __future__ import annotations

from itertools import pairwise

from lengthen.common.text.repetition import counted


def tenths(text: str) -> list[str]:
    """Ten parts of about the same number of characters, cut between words; their concatenation is the text."""
    cuts = [0, *(_between_words(text, len(text) * number // 10) for number in range(1, 10)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


def repetition_by_tenth(text: str, ngram: int) -> list[float]:
    """The share of each tenth's units that lie in an n-gram that stood before anywhere in the text, in [0, 1]."""
    rates, read, before = [], "", (0, 0)
    for part in tenths(text):
        read += part
        counter = counted(read, ngram)
        units, repeated = counter.units - before[0], counter.repeated - before[1]
        rates.append(min(1.0, repeated / units) if units else 0.0)  # an n-gram over the cut may also lie in the tenth before
        before = counter.units, counter.repeated
    return rates


def _between_words(text: str, at: int) -> int:
    while 0 < at < len(text) and text[at - 1].isascii() and text[at].isascii() and not text[at].isspace() and not text[at - 1].isspace():
        at += 1
    return at
