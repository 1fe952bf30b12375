"""Row ids and seeds: functions of what a row is, never of its position or of when it was made.

A row's id is known before its text, so a resumed stage can look up what is already there, and the n-th attempt at a
row draws the same random numbers whatever the order, the concurrency or the number of shards.
"""

from __future__ import annotations

import hashlib
import random


def _digest(*parts: str | int) -> bytes:
    # The unit separator can't occur in an id or a stage's name, so ("a", "bc") and ("ab", "c") differ.
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode("utf-8", "surrogatepass")).digest()


def row_id(stage: str, iteration: int, parent_id: str, sample: int) -> str:
    """32 hex digits: 128 bits, so that a billion rows don't collide."""
    return _digest(stage, iteration, parent_id, sample).hex()[:32]


def attempt_seed(run_seed: int, row: str, attempt: int | str) -> int:
    """A seed in [0, 2**31) for one attempt at one row (engines want a signed 32-bit integer)."""
    return int.from_bytes(_digest(run_seed, row, attempt)[:4], "big") >> 1


def row_random(run_seed: int, row: str, purpose: str) -> random.Random:
    """A generator of a row's own for one purpose, such as drawing its examples or dropping its lines."""
    return random.Random(_digest(run_seed, row, purpose))


def text_digest(text: str) -> str:
    """sha256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
