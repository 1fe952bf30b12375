"""Measure repetition in a text, also while it is generated.

A unit is repeated if it is in an n-gram that occurred before in the same text. The same counter is used for the stream (each new
piece) and for the finished text, so both give the same result. Each unit takes one look-up in a table of hashes, for any length.

Only prose is counted (`prose.py`). A code block, a table or a formula is only searched for a loop.
"""

from __future__ import annotations

import re

from lengthen.common.text.prose import ProseReader, prose
from lengthen.common.text.words import complete_units, units

NGRAM = 10  # units; the paper's n for English
_EARLY = 1000  # units; until then a letter that is quoted, or a chorus, may make a large share of a text
_LOOP_SHARE = 0.01  # of the text so far: a longer text has more and longer refrains and litanies
_ANY_LOOP_TIMES = 16  # minimum repetitions at the end of any text, code and tables too: a closed code block does not end like that
_IN_BLOCKS = 10  # times as long is a loop of code or of a table: rows may be equal

_TAIL = 800  # characters at the end that are searched for a loop
_LOOP_TIMES, _LOOP_UNITS = 4, 16  # minimum repetitions and units of a loop at the end
_PUNCTUATION = ".,;:!?\"'()[]“”‘’…—–-、，。；：！？（）"

_ITEM_MARKER = re.compile(r"^[\s>#*+•|-]*(?:\d+[.):、]\s*)?")


class NgramCounter:
    """Counts repeated units of a text that is given in pieces. The result does not depend on the pieces.

    `units` is the number of units, `repeated` the number of those in a second or later occurrence of an n-gram, `longest_run`
    the longest run of repeated units, and `longest_loop` the most units of a run that repeat units of this same run: the second
    copy of a passage is a run, and a third one that follows it is a loop. Loops of less than _LOOP_SHARE of all units so far do not
    count. `highest_rate` is the highest value of repeated / max(units, _EARLY) so far. The last three never decrease.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.units = self.repeated = self.longest_run = self.longest_loop = 0
        self.highest_rate = 0.0
        self._run = self._loop = 0  # units of the current run, and of the current loop in it
        self._covered = 0  # units up to the end of the last repeated n-gram
        self._ends: dict[int, int] = {}  # of the last occurrence of each n-gram: its hash, and the units up to its end
        self._last: list[str] = []  # the n - 1 units before the next one
        self._rest = ""  # an incomplete word

    @property
    def rate(self) -> float:
        """Share of repeated units, in [0, 1]."""
        return self.repeated / self.units if self.units else 0.0

    def feed(self, piece: str) -> None:
        """Take the next piece of the text. An incomplete word at its end is counted with the next piece."""
        new, self._rest = complete_units(self._rest + piece)
        self._count(new)

    def finish(self) -> None:
        """Count the last word."""
        self._count(units(self._rest))
        self._rest = ""

    def _count(self, new_units: list[str]) -> None:
        window = self._last + new_units
        first_end = self.units - len(self._last) + self.n  # units before the end of the window's first n-gram
        self.units += len(new_units)
        self._last = window[max(0, len(window) - self.n + 1) :]
        grams = list(map(hash, zip(*(window[start:] for start in range(self.n)), strict=False)))
        new = dict(zip(grams, range(first_end, first_end + len(grams)), strict=True))
        if len(new) == len(grams) and self._ends.keys().isdisjoint(new):  # the usual case: nothing is repeated
            self._ends |= new
            return
        for end, gram in enumerate(grams, start=first_end):
            if (before := self._ends.get(gram)) is not None:
                self._repeat(end, before)
            self._ends[gram] = end

    def _repeat(self, end: int, before: int) -> None:
        """Count the n units before `end` as repeated; some of them may be counted already. They occurred last before `before`."""
        distance = end - self._covered
        fresh = min(self.n, distance)
        self._run = self._run + fresh if distance <= self.n else self.n
        self._loop = self._loop + fresh if before > end - self._run else 0
        self._covered = end
        self.repeated += fresh
        self.longest_run = max(self.longest_run, self._run)
        if self._loop >= _LOOP_SHARE * end:
            self.longest_loop = max(self.longest_loop, self._loop)
        self.highest_rate = max(self.highest_rate, self.repeated / max(end, _EARLY))


class RepetitionCounter(NgramCounter):
    """Counts repeated units of a text's prose. In its code, tables and formulas it only finds loops, _IN_BLOCKS times as long."""

    def __init__(self, n: int = NGRAM) -> None:
        super().__init__(n)
        self._reader, self._blocks = ProseReader(), NgramCounter(n)
        self._prose: list[str] = []

    @property
    def prose(self) -> str:
        """The prose that was counted."""
        return "".join(self._prose)

    def feed(self, piece: str) -> None:
        """Take the next piece of the text. An incomplete line at its end may be counted with the next piece."""
        self._add(*self._reader.feed(piece))

    def finish(self) -> None:
        """Count the last line."""
        self._add(*self._reader.finish())
        super().finish()

    def _add(self, text: str, blocks: str) -> None:
        super().feed(text)
        self._prose.append(text)
        if blocks:
            self._blocks.feed(blocks)
            self.longest_loop = max(self.longest_loop, self._blocks.longest_loop // _IN_BLOCKS)


def count_repetition(text: str, n: int = NGRAM) -> RepetitionCounter:
    """The counter after a finished text."""
    counter = RepetitionCounter(n)
    counter.feed(text)
    counter.finish()
    return counter


def repetition(text: str, n: int = NGRAM) -> float:
    """Share of a text's units in n-grams that occurred before in it, in [0, 1]."""
    return count_repetition(text, n).rate


def find_tail_loop(text: str) -> str | None:
    """Words that are repeated at the end of a text, at least 4 times and over at least 16 units; None if there are none.

    It is shorter than the loops that stop a text during generation, but still not a proper end.
    """
    return _tail_loop(prose(text))


def loop_at_end(text: str, prose: str) -> str | None:
    """See `find_tail_loop`. Of code and tables at the end, which `prose` does not have, a loop must have more repetitions."""
    loop = _tail_loop(prose)
    return _tail_loop(text, _ANY_LOOP_TIMES) if loop is None and prose[-_TAIL:] != text[-_TAIL:] else loop


def _tail_loop(prose: str, times: int = _LOOP_TIMES) -> str | None:
    last = [unit.strip(_PUNCTUATION) for unit in units(prose[-_TAIL:])]
    last = [unit for unit in last if unit]
    for period in range(1, len(last) // times + 1):
        same = 0
        while same + period < len(last) and last[-1 - same] == last[-1 - same - period]:
            same += 1
        if same + period >= max(times * period, _LOOP_UNITS):
            return " ".join(last[-period:])
    return None


def repeated_lines(text: str) -> float:
    """Share of the characters of a text's prose in lines that occurred before in it, in [0, 1], without list markers and numbers.

    It finds what n-grams do not: short list items that are repeated with other numbers.
    """
    return repeated_prose_lines(prose(text))


def repeated_prose_lines(prose: str) -> float:
    """See `repeated_lines`, for a text of which only prose is left."""
    seen: set[str] = set()
    repeated = total = 0
    for line in prose.lower().splitlines():
        bare = _ITEM_MARKER.sub("", line, count=1).strip()
        total += len(bare)
        if bare in seen:
            repeated += len(bare)
        seen.add(bare)
    return repeated / total if total else 0.0
