"""Near duplicates: texts that share most of their shingles, found by MinHash and locality-sensitive hashing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lengthen.common.text.digest import text_digest
from lengthen.common.text.words import units

if TYPE_CHECKING:
    from datasketch import MinHash

SHINGLE = 3  # units (words or Chinese characters)


class NearDuplicates:
    """Finds the nearest text among those added: exactly the same, or with a Jaccard similarity above `max_similarity`.

    The similarity is MinHash's estimate over shingles of three units (standard error 0.04 at 128 permutations). The result does
    not depend on the order in which texts were added.
    """

    def __init__(self, max_similarity: float, permutations: int = 128) -> None:
        from datasketch import MinHashLSH  # imports SciPy, so only when an index is needed

        self.max_similarity, self.permutations = max_similarity, permutations
        self._latest: tuple[str, MinHash] | None = None
        self._known: dict[str, tuple[str, MinHash]] = {}  # digest of the normal form -> key, sketch
        # The weights prefer an unnecessary comparison to a missed pair. The index does not support a threshold of 1.
        self._index = MinHashLSH(threshold=min(max_similarity, 0.95), num_perm=permutations, weights=(0.1, 0.9))

    def __len__(self) -> int:
        return len(self._known)

    def nearest(self, text: str) -> tuple[str, float] | None:
        """Key and similarity of the nearest text, None if all are below `max_similarity`. Ties: the smallest key."""
        normal = text_digest(normal_form(text))
        if normal in self._known:
            return self._known[normal][0], 1.0
        sketch = self._sketch(normal, text)
        known = (self._known[other] for other in self._index.query(sketch))
        near = [(-float(other.jaccard(sketch)), key) for key, other in known]
        similarity, key = min(near, default=(0.0, ""))
        return (key, -similarity) if -similarity > self.max_similarity else None

    def add(self, key: str, text: str) -> None:
        """Add a text. Of several with the same normal form, the one with the smallest key is stored."""
        normal = text_digest(normal_form(text))
        if normal in self._known:
            before, sketch = self._known[normal]
            self._known[normal] = (min(before, key), sketch)
            return
        self._known[normal] = (key, self._sketch(normal, text))
        self._index.insert(normal, self._known[normal][1])

    def _sketch(self, normal: str, text: str) -> MinHash:
        """The text's MinHash. The latest one is cached, because a text is often added after it was looked up."""
        from datasketch import MinHash

        if self._latest is None or self._latest[0] != normal:
            sketch = MinHash(num_perm=self.permutations)
            sketch.update_batch([shingle.encode("utf-8", "surrogatepass") for shingle in sorted(shingles(text))])
            self._latest = (normal, sketch)
        return self._latest[1]


def normal_form(text: str) -> str:
    """A text in lower case with single spaces between its units."""
    return " ".join(units(text))


def shingles(text: str, n: int = SHINGLE) -> set[str]:
    """Every run of n units of a text; a shorter text is one shingle."""
    sequence = units(text)
    return {" ".join(sequence[start : start + n]) for start in range(max(1, len(sequence) - n + 1))}
