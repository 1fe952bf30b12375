"""The pool of instructions: what may be shown as an example, and what counts as a duplicate."""

from __future__ import annotations

import random
from collections import defaultdict

from lengthen.augment.seeding import Example
from lengthen.common.text.duplicates import NearDuplicates


class Pool:
    """Examples on shelves by language and category, and a memory of everything that is not to be said again."""

    def __init__(self, max_similarity: float) -> None:
        self._known = NearDuplicates(max_similarity)
        self._shelves: dict[tuple[str, str], list[Example]] = defaultdict(list)

    def duplicate(self, instruction: str) -> tuple[str, float] | None:
        """The instruction that says the same, exactly or nearly, and their similarity; None where none does."""
        return self._known.nearest(instruction)

    def remember(self, example: Example) -> None:
        """From now on, refuse what says the same as this."""
        self._known.add(example.id, example.instruction)

    def show(self, example: Example) -> None:
        """From now on, this may be drawn as an example."""
        self._shelves[example.language, example.category].append(example)

    def draw(self, language: str, category: str, count: int, dice: random.Random) -> list[Example]:
        """Examples of one language and category; of the whole language where the category has too few."""
        shelf = self._shelves.get((language, category), [])
        if len(shelf) < count:
            shelf = [example for (spoken, _), members in sorted(self._shelves.items()) if spoken == language for example in members]
        return dice.sample(shelf, min(count, len(shelf)))

    def categories(self, language: str) -> list[str]:
        """Of the examples in a language, in alphabetical order."""
        return sorted(category for spoken, category in self._shelves if spoken == language)
