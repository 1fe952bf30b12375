"""The pool of instructions: examples for the prompts, and an index of near duplicates."""

from __future__ import annotations

import random
from collections import defaultdict

from lengthen.augment.seeding import Example
from lengthen.common.text.duplicates import NearDuplicates


class Pool:
    """Examples by language and category, and every known instruction, which no new one may repeat."""

    def __init__(self, max_similarity: float) -> None:
        self._known = NearDuplicates(max_similarity)
        self._examples: dict[tuple[str, str], list[Example]] = defaultdict(list)

    def nearest(self, instruction: str) -> tuple[str, float] | None:
        """Id and similarity of an exact or near duplicate; None without one."""
        return self._known.nearest(instruction)

    def add_known(self, example: Example) -> None:
        """Later duplicates of this instruction are found by `nearest`."""
        self._known.add(example.id, example.instruction)

    def add_example(self, example: Example) -> None:
        """This instruction may be drawn by `sample`."""
        self._examples[example.language, example.category].append(example)

    def sample(self, language: str, category: str, count: int, rng: random.Random) -> list[Example]:
        """Draw examples of one language and category, or of the whole language if the category has too few."""
        found = self._examples.get((language, category), [])
        if len(found) < count:
            found = [example for (other, _), examples in sorted(self._examples.items()) if other == language for example in examples]
        return rng.sample(found, min(count, len(found)))
