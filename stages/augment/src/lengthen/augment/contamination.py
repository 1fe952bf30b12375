"""Decontamination: an instruction that overlaps with a benchmark prompt is rejected.

The measure is the overlap coefficient of 3-grams of units, |A ∩ B| / min(|A|, |B|), and not the Jaccard similarity:
a benchmark prompt also states a length demand, which the same instruction would not have here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from lengthen.common.method.benchmark.files import BenchmarkFile
from lengthen.common.text.words import units

_NGRAM = 3  # units
_PUNCTUATION = ".,;:!?\"'()[]“”‘’…—–-、，。；：！？（）《》「」『』"
_MIN_NGRAMS = 6  # two short instructions share common phrases ("write an essay about") without having the same meaning


class Overlap(NamedTuple):
    prompt: str  # benchmark/id
    share: float  # in [0, 1]


class BenchmarkIndex:
    """The prompts of several benchmarks, indexed by their 3-grams: a query compares only prompts that share one."""

    def __init__(self, benchmarks: list[BenchmarkFile]) -> None:
        self._sizes: dict[str, int] = {}
        self._prompts_by_ngram: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for benchmark in benchmarks:
            for name, text in benchmark.prompts():
                self._add(name, ngrams(text))

    def nearest(self, instruction: str) -> Overlap | None:
        """The prompt with the largest overlap; None if no prompt shares a 3-gram."""
        found = ngrams(instruction)
        shared = Counter(name for ngram in found for name in self._prompts_by_ngram.get(ngram, ()))
        overlaps = [Overlap(name, count / max(_MIN_NGRAMS, min(len(found), self._sizes[name]))) for name, count in shared.items()]
        return max(overlaps, key=lambda overlap: (overlap.share, overlap.prompt), default=None)

    def _add(self, name: str, found: set[tuple[str, ...]]) -> None:
        self._sizes[name] = len(found)
        for ngram in found:
            self._prompts_by_ngram[ngram].append(name)


def ngrams(text: str) -> set[tuple[str, ...]]:
    """The 3-grams of a text's units, without punctuation."""
    found = units_without_punctuation(text)
    return {tuple(found[start : start + _NGRAM]) for start in range(max(1, len(found) - _NGRAM + 1))}


def units_without_punctuation(text: str) -> list[str]:
    return [stripped for unit in units(text) if (stripped := unit.strip(_PUNCTUATION))]
