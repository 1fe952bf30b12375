"""Drawing the length demand for an answer: its kind by the configured shares, in round numbers, and always true.

The bounds are LonGen's (`lengthen.common.method.demand`), drawn around the answer's real number of words: the answer's length
score for this demand is always 1. "More than" and "fewer than" are also true literally, not only within the bounds.
"""

from __future__ import annotations

import random
from math import ceil

from lengthen.common.config.stages import Release
from lengthen.common.method.demand import KINDS, Demand, Kind

# The paper rounds answers of 2,000 to 8,000 words to thousands, and a fifth of them to two thousands. Here the same for every
# order of magnitude: steps as multiples of the number's power of ten, coarse to fine, and the probability that the search
# starts at the first or at the second of them.
_STEPS = (2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.01)
_FIRST_STEP_WEIGHTS = (0.2, 0.8)


def draw_demand(words: int, settings: Release, rng: random.Random) -> Demand | None:
    """A demand that an answer with this number of words meets; None for the share without a demand."""
    if rng.random() < settings.without_demand:
        return None
    shares = settings.kinds.model_dump()
    [kind] = rng.choices(KINDS, [shares[kind] for kind in KINDS])
    return draw_demand_of_kind(kind, words, rng)


def draw_demand_of_kind(kind: Kind, words: int, rng: random.Random) -> Demand:
    """A true demand of this kind with the roundest numbers, starting from a step drawn at random. `words` must be >= 2."""
    [first] = rng.choices(range(len(_FIRST_STEP_WEIGHTS)), _FIRST_STEP_WEIGHTS)
    power = 10 ** (len(str(words)) - 1)
    for step in [max(1, int(power * share)) for share in _STEPS[first:]] + [1]:
        candidates = (Demand(kind, length) for length in _lengths(kind, words, step))
        if true := [demand for demand in candidates if demand.lower <= words <= demand.upper]:
            return rng.choice(true)
    raise ValueError(f"no demand of kind {kind} is true for {words} words")


def _lengths(kind: Kind, words: int, step: int) -> list[int] | list[tuple[int, int]]:
    """Candidate lengths: multiples of `step`."""
    if kind == "about":
        nearest = max(1, (words + step // 2) // step) * step
        return [nearest]
    if kind == "range":
        low = words // step * step
        return [pair for pair in ((low, low + step), (low, low + 2 * step), (low - step, low + step)) if pair[0] > 0]
    lowest, highest = (ceil(words / 1.5), words - 1) if kind == "above" else (words + 1, 2 * words)
    return list(range(ceil(lowest / step) * step, highest + 1, step))
