"""Row ids and seeds, computed from the row's stage, iteration and parent, not from its position or time.

A row's id is known before its text, so a resumed stage can look up which rows exist. The n-th attempt at a row uses the same
random numbers in any order, with any concurrency and any number of shards.
"""

from __future__ import annotations

import hashlib
import random


def _digest(*parts: str | int) -> bytes:
    # The unit separator does not occur in ids and stage names, so ("a", "bc") and ("ab", "c") differ.
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode("utf-8", "surrogatepass")).digest()


def row_id(stage: str, iteration: int, parent_id: str, sample: int) -> str:
    """32 hex digits: with 128 bits, a billion rows have no collision in practice."""
    return _digest(stage, iteration, parent_id, sample).hex()[:32]


def attempt_seed(run_seed: int, row: str, attempt: int | str) -> int:
    """A seed in [0, 2**31) for one attempt at one row (engines need a signed 32-bit integer)."""
    return int.from_bytes(_digest(run_seed, row, attempt)[:4], "big") >> 1


def row_random(run_seed: int, row: str, purpose: str) -> random.Random:
    """A random generator for one row and one purpose, such as drawing its examples or dropping its lines."""
    return random.Random(_digest(run_seed, row, purpose))
