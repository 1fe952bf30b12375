"""Repetition as a rate, counted while the text grows.

A unit counts as repeated when it lies inside an n-gram that stood before in the same text. One counter serves both the
stream (an engine feeds it each new piece) and the finished text, so that both decide alike. Each unit costs one look-up
in a set of hashes, whatever the length of the text.
"""

from __future__ import annotations

import re

from lengthen.common.text.markdown import without_blocks
from lengthen.common.text.words import closed_units, units

NGRAM = 10  # units; the paper's n for English
_BATCH = 256  # characters gathered before they are counted: a piece of a stream costs an append
_EARLY = 200  # units; a rate over fewer says little

_TAIL, _TIMES, _LEAST = 800, 4, 16  # characters that are looked at; how often the same, and how many units of it, are a loop
_MARKS = ".,;:!?\"'()[]“”‘’…—–-、，。；：！？（）"

_ITEM_MARK = re.compile(r"^[\s>#*+•|-]*(?:\d+[.):、]\s*)?")


class RepetitionCounter:
    """Counts repeated units of a text given in pieces, the same however it is cut.

    `units` is how many were seen, `repeated` how many of them lie inside a second or later occurrence of an n-gram,
    `longest_run` the most of those in a row, and `highest_rate` the highest share they had at any point after the
    beginning (before _EARLY units, as if so many had been seen). The last two only ever grow.
    """

    def __init__(self, n: int = NGRAM) -> None:
        self.n = n
        self.units = self.repeated = self.run = self.longest_run = 0
        self.highest_rate = 0.0
        self._covered = 0  # how far into the text the last repeated n-gram reached
        self._seen: set[int] = set()
        self._last: list[str] = []  # the n - 1 units before the next one
        self._held = ""

    def feed(self, piece: str) -> None:
        """Take the next piece of the text. Up to _BATCH characters wait for the next ones, and so does an unfinished word."""
        self._held += piece
        if len(self._held) >= _BATCH:
            found, self._held = closed_units(self._held)
            self._count(found)

    def finish(self) -> None:
        """Count what still waits."""
        self._count(units(self._held))
        self._held = ""

    @property
    def rate(self) -> float:
        """Share of repeated units, in [0, 1]."""
        return self.repeated / self.units if self.units else 0.0

    def _count(self, found: list[str]) -> None:
        window = self._last + found
        first_end = self.units - len(self._last) + self.n  # units before the end of the window's first n-gram
        self.units += len(found)
        self._last = window[max(0, len(window) - self.n + 1) :]
        grams = list(map(hash, zip(*(window[start:] for start in range(self.n)), strict=False)))
        new = set(grams)
        if len(new) == len(grams) and self._seen.isdisjoint(new):  # nothing is repeated: nearly always
            self._seen |= new
            return
        for end, gram in enumerate(grams, start=first_end):
            if gram in self._seen:
                self._repeat(end)
            else:
                self._seen.add(gram)

    def _repeat(self, end: int) -> None:
        """The n units before `end` are repeated; some of them may be counted already."""
        distance = end - self._covered
        fresh = min(self.n, distance)
        self.run = self.run + fresh if distance <= self.n else self.n
        self._covered = end
        self.repeated += fresh
        self.longest_run = max(self.longest_run, self.run)
        self.highest_rate = max(self.highest_rate, self.repeated / max(end, _EARLY))


def counted(text: str, n: int = NGRAM) -> RepetitionCounter:
    """The counter of a finished text."""
    counter = RepetitionCounter(n)
    counter.feed(text)
    counter.finish()
    return counter


def repetition(text: str, n: int = NGRAM) -> float:
    """Share of a text's units inside an n-gram that stood before in it, in [0, 1]."""
    return counted(text, n).rate


def tail_loop(text: str) -> str | None:
    """What a text says again and again at its very end, four times or more and over 16 units or more; None if it doesn't.

    Shorter than the runs that stop a text while it is written, and yet no way to end one.
    """
    last = [unit.strip(_MARKS) for unit in units(without_blocks(text)[-_TAIL:])]
    last = [unit for unit in last if unit]
    for period in range(1, len(last) // _TIMES + 1):
        same = 0
        while same + period < len(last) and last[-1 - same] == last[-1 - same - period]:
            same += 1
        if same + period >= max(_TIMES * period, _LEAST):
            return " ".join(last[-period:])
    return None


def repeated_lines(text: str) -> float:
    """Share of a text's characters in lines that stood before in it, in [0, 1]: list marks and numbers aside, code left out.

    Finds what n-grams don't: short items repeated under other numbers. A paragraph is a line or several.
    """
    seen: set[str] = set()
    repeated = total = 0
    for line in without_blocks(text).lower().splitlines():
        bare = _ITEM_MARK.sub("", line, count=1).strip()
        total += len(bare)
        if bare in seen:
            repeated += len(bare)
        seen.add(bare)
    return repeated / total if total else 0.0
