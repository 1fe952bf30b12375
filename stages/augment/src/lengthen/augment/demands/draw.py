"""Which demand an answer gets: of a kind drawn by the configured shares, in round numbers, and always true of the answer.

The bounds are LonGen's (`lengthen.common.demand`), drawn around the words that the answer really has: its length score for
this demand is 1 by construction. "More than" and "fewer than" are true in their plain sense too, not only at the bound.
"""

from __future__ import annotations

import random
from math import ceil

from lengthen.common.demand import KINDS, Demand, Kind
from lengthen.common.settings import Release

# The paper rounds answers of 2,000 to 8,000 words to thousands, a fifth of them to two thousands. The same by magnitude:
# steps in units of the number's own power of ten, coarse to fine, and how often the first two are where the search begins.
_STEPS = (2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.01)
_FIRST = (0.2, 0.8)


def drawn(words: int, settings: Release, dice: random.Random) -> Demand | None:
    """A demand that an answer of so many words meets; None for the share that stays without."""
    if dice.random() < settings.without_demand:
        return None
    shares = settings.kinds.model_dump()
    [kind] = dice.choices(KINDS, [shares[kind] for kind in KINDS])
    return of_kind(kind, words, dice)


def of_kind(kind: Kind, words: int, dice: random.Random) -> Demand:
    """In the roundest numbers, from a step drawn at random on, that make a true demand of this kind. `words` are 2 or more."""
    [first] = dice.choices(range(len(_FIRST)), _FIRST)
    power = 10 ** (len(str(words)) - 1)
    for step in [max(1, int(power * share)) for share in _STEPS[first:]] + [1]:
        candidates = (Demand(kind, length) for length in _lengths(kind, words, step))
        if true := [demand for demand in candidates if demand.lower <= words <= demand.upper]:
            return dice.choice(true)
    raise ValueError(f"no demand of kind {kind} is true of {words} words")


def _lengths(kind: Kind, words: int, step: int) -> list[int] | list[tuple[int, int]]:
    """Multiples of `step` that may do."""
    if kind == "about":
        nearest = max(1, (words + step // 2) // step) * step
        return [nearest]
    if kind == "range":
        low = words // step * step
        return [pair for pair in ((low, low + step), (low, low + 2 * step), (low - step, low + step)) if pair[0] > 0]
    lowest, highest = (ceil(words / 1.5), words - 1) if kind == "above" else (words + 1, 2 * words)
    return list(range(ceil(lowest / step) * step, highest + 1, step))
