"""How sure a mean is: percentile bootstrap intervals (Efron 1979)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_RESAMPLES = 2_000  # the ends of an interval move by some 3 % of its half width from seed to seed
_BLOCK = 2_000_000  # picks drawn at once: bounds the memory, 16 MB


class Estimate(NamedTuple):
    """A mean with its 95 % interval, over so many values."""

    mean: float
    low: float
    high: float
    values: int


def estimate(values: Sequence[float], seed: int = 0) -> Estimate | None:
    """The mean and its 95 % interval; None without values. The same for the same values in the same order."""
    if not values:
        return None
    array = np.asarray(values, dtype=np.float64)
    dice = np.random.default_rng(seed)
    rows = max(1, _BLOCK // len(array))
    means = np.concatenate([_resampled(array, dice, min(rows, _RESAMPLES - done)) for done in range(0, _RESAMPLES, rows)])
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(array.mean()), float(low), float(high), len(array))


def _resampled(
    values: np.ndarray[tuple[int], np.dtype[np.float64]], dice: np.random.Generator, times: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    picks: np.ndarray[tuple[int], np.dtype[np.float64]] = values[dice.integers(0, len(values), size=(times, len(values)))].mean(axis=1)
    return picks
