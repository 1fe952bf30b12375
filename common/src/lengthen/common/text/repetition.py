"""Repetition as a rate, counted while the text grows.

A unit counts as repeated when it lies inside an n-gram that stood before in the same text. One counter serves both the
stream (an engine feeds it each new piece) and the finished text, so that both decide alike. Each unit costs one look-up
in a set of hashes, whatever the length of the text.
"""

from __future__ import annotations

from collections import deque

from lengthen.common.text.words import units

NGRAM = 10  # units; the paper's n for English


class RepetitionCounter:
    """Counts repeated units of a text given in pieces.

    `units` is how many were seen, `repeated` how many of them lie inside a second or later occurrence of an n-gram,
    `longest_run` the most of those in a row.
    """

    def __init__(self, n: int = NGRAM) -> None:
        self.n = n
        self.units = self.repeated = self.run = self.longest_run = 0
        self._covered = 0  # how far into the text the last repeated n-gram reached
        self._seen: set[int] = set()
        self._last: deque[str] = deque(maxlen=n)
        self._tail = ""

    def feed(self, piece: str) -> None:
        """Take the next piece of the text. Its last word waits for the next piece, since it may go on there."""
        text = self._tail + piece
        cut = max((i + 1 for i, character in enumerate(text) if character.isspace()), default=0)
        self._tail = text[cut:]
        for unit in units(text[:cut]):
            self._count(unit)

    def finish(self) -> None:
        """Count the word that was still open."""
        for unit in units(self._tail):
            self._count(unit)
        self._tail = ""

    @property
    def rate(self) -> float:
        """Share of repeated units, in [0, 1]."""
        return self.repeated / self.units if self.units else 0.0

    def _count(self, unit: str) -> None:
        self.units += 1
        self._last.append(unit)
        if len(self._last) < self.n:
            return
        gram = hash(tuple(self._last))
        if gram not in self._seen:
            self._seen.add(gram)
            return
        # The n-gram covers the last n units; some of them may be counted already.
        fresh = min(self.n, self.units - self._covered)
        self.run = self.run + fresh if fresh < self.n else self.n
        self._covered = self.units
        self.repeated += fresh
        self.longest_run = max(self.longest_run, self.run)


def repetition(text: str) -> float:
    """Share of a text's units inside an n-gram that stood before in it, in [0, 1]."""
    counter = RepetitionCounter()
    counter.feed(text)
    counter.finish()
    return counter.rate
