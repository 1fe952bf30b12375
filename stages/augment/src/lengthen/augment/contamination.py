"""Keeping clear of the benchmarks: an instruction that says much of what a benchmark prompt says is refused.

The measure is the overlap coefficient of 3-grams of units, |A ∩ B| / min(|A|, |B|), and not the Jaccard similarity:
benchmark prompts carry a demand about their length that the same instruction wouldn't have here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from lengthen.common.benchmark import BenchmarkFile
from lengthen.common.text.words import units

_SHINGLE = 3  # units
_MARKS = ".,;:!?\"'()[]“”‘’…—–-、，。；：！？（）《》「」『』"
_FEW = 6  # 3-grams: two short instructions share their stock phrases ("write an essay about") without meaning the same


class Overlap(NamedTuple):
    prompt: str  # benchmark/id
    share: float  # in [0, 1]


class Contamination:
    """The prompts of some benchmarks, indexed by their 3-grams: a look-up touches only prompts that share one."""

    def __init__(self, benchmarks: list[BenchmarkFile]) -> None:
        self._sizes: dict[str, int] = {}
        self._holders: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for benchmark in benchmarks:
            for name, text in benchmark.prompts():
                self._add(name, shingles(text))

    def nearest(self, instruction: str) -> Overlap | None:
        """The prompt that shares the largest part with the instruction; None where none shares anything."""
        found = shingles(instruction)
        shared = Counter(name for shingle in found for name in self._holders.get(shingle, ()))
        overlaps = [Overlap(name, count / max(_FEW, min(len(found), self._sizes[name]))) for name, count in shared.items()]
        return max(overlaps, key=lambda overlap: (overlap.share, overlap.prompt), default=None)

    def _add(self, name: str, found: set[tuple[str, ...]]) -> None:
        self._sizes[name] = len(found)
        for shingle in found:
            self._holders[shingle].append(name)


def shingles(text: str) -> set[tuple[str, ...]]:
    """The 3-grams of a text's units, punctuation aside."""
    found = bare_units(text)
    return {tuple(found[start : start + _SHINGLE]) for start in range(max(1, len(found) - _SHINGLE + 1))}


def bare_units(text: str) -> list[str]:
    """The units of a text without punctuation."""
    return [bare for unit in units(text) if (bare := unit.strip(_MARKS))]
