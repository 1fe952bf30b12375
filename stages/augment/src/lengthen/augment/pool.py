"""The pool of instructions: what may be shown as an example, and what counts as a duplicate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lengthen.augment.seeding import Example
from lengthen.common.text.words import units

if TYPE_CHECKING:
    from datasketch import MinHash

_PERMUTATIONS = 128
_SHINGLE = 3  # units


class Pool:
    """Refuses what it has already, exactly or nearly (Jaccard similarity of word 3-grams, estimated by MinHash)."""

    def __init__(self, max_similarity: float) -> None:
        from datasketch import MinHashLSH  # with SciPy behind it: only when the pool is needed

        self.examples: list[Example] = []
        self.max_similarity = max_similarity
        self._known: dict[str, tuple[str, MinHash]] = {}  # normalised instruction -> id, sketch
        self._index = MinHashLSH(threshold=max_similarity, num_perm=_PERMUTATIONS)

    def duplicate(self, instruction: str) -> str | None:
        """The id of an instruction that says the same, or None. Of several near ones, the nearest."""
        normal = _normal(instruction)
        if normal in self._known:
            return self._known[normal][0]
        sketch = _sketch(instruction)
        near = [(self._known[other][1].jaccard(sketch), self._known[other][0]) for other in self._index.query(sketch)]
        return max((pair for pair in near if pair[0] > self.max_similarity), default=(0.0, None))[1]

    def remember(self, example: Example) -> None:
        """From now on, refuse what says the same as this."""
        normal = _normal(example.instruction)
        if normal not in self._known:
            self._known[normal] = (example.id, _sketch(example.instruction))
            self._index.insert(normal, self._known[normal][1])


def _normal(instruction: str) -> str:
    return " ".join(units(instruction))


def _sketch(instruction: str) -> MinHash:
    from datasketch import MinHash

    found = units(instruction)
    sketch = MinHash(num_perm=_PERMUTATIONS)
    for start in range(max(1, len(found) - _SHINGLE + 1)):
        sketch.update(" ".join(found[start : start + _SHINGLE]).encode("utf-8", "surrogatepass"))
    return sketch
