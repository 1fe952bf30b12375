"""The pool of instructions: examples for the prompts, and an index of near duplicates."""

from __future__ import annotations

import random
from collections import defaultdict

from lengthen.augment.seeding import Example
from lengthen.common.text.duplicates import NearDuplicates
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.words import count_words

_LONG = {"latin": 40, "han": 60}  # words (in Chinese, characters), by script


def is_long(instruction: str, language: str) -> bool:
    """Whether an instruction has several lines, or more words than one or two sentences usually have."""
    return "\n" in instruction or count_words(instruction) > _LONG[LANGUAGES[language].script]


class Pool:
    """Examples by language and category, and every known instruction, which no new one may repeat."""

    def __init__(self, max_similarity: float) -> None:
        self._known = NearDuplicates(max_similarity)
        # (language, category) -> short and long ones
        self._examples: dict[tuple[str, str], tuple[list[Example], list[Example]]] = defaultdict(lambda: ([], []))

    def nearest(self, instruction: str) -> tuple[str, float] | None:
        """Id and similarity of an exact or near duplicate; None without one."""
        return self._known.nearest(instruction)

    def add_known(self, example: Example) -> None:
        """Later duplicates of this instruction are found by `nearest`."""
        self._known.add(example.id, example.instruction)

    def add_example(self, example: Example) -> None:
        """This instruction may be drawn by `sample`."""
        self._examples[example.language, example.category][is_long(example.instruction, example.language)].append(example)

    def sample(self, language: str, category: str, count: int, rng: random.Random) -> list[Example]:
        """Draw examples of one language and category, or of the whole language if the category has too few.

        Each one is short or long with equal probability, as long as there are both. A model continues a list with an item
        like those in it: where long examples are rare, the new ones among them would become rarer with each wave.
        """
        groups = [self._examples.get((language, category), ([], []))]
        if sum(map(len, groups[0])) < count:
            groups = [group for (other, _), group in sorted(self._examples.items()) if other == language]
        short, long = ([example for group in groups for example in group[kind]] for kind in (0, 1))
        wanted = sum(rng.random() < 0.5 for _ in range(count))
        from_long = min(len(long), max(wanted, count - len(short)))
        drawn = rng.sample(long, from_long) + rng.sample(short, min(len(short), count - from_long))
        return rng.sample(drawn, len(drawn))
