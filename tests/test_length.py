"""Length scores against algorithm.md's definitions, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from lengthen.common.summary import bootstrap_interval
from lengthen.evaluate.benchmark import load_benchmark
from lengthen.evaluate.length import bounds, length_score, s_l


@pytest.mark.parametrize(
    ("kind", "length", "expected"),
    [("about", 1000, (800, 1200)), ("range", (300, 400), (300, 400)), ("above", 200, (200, 300)), ("below", 500, (250, 500))],
)
def test_bounds_of_a_demand(kind: str, length: int | tuple[int, int], expected: tuple[int, int]) -> None:
    assert bounds(kind, length) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "score"), [(0, 0.0), (400, 0.0), (600, 0.5), (800, 1.0), (1200, 1.0), (1500, 0.5), (1800, 0.0), (5000, 0.0)]
)
def test_length_score_falls_linearly_outside_the_bounds(words: int, score: float) -> None:
    assert length_score(words, 800, 1200) == pytest.approx(score)


@pytest.mark.parametrize(("words", "score"), [(0, 0.0), (1000, 100.0), (2500, 50.0), (4000, 0.0), (500, 50.0), (333, 0.0)])
def test_s_l(words: int, score: float) -> None:
    assert s_l(words, 1000) == pytest.approx(score, abs=0.2)


def test_the_built_in_benchmark_has_four_kinds_and_its_prompts_name_their_lengths() -> None:
    prompts = load_benchmark(None).prompts
    assert len(prompts) >= 24
    assert {prompt.kind for prompt in prompts} == {"about", "range", "above", "below"}
    for prompt in prompts:
        numbers = prompt.length if isinstance(prompt.length, tuple) else (prompt.length,)
        assert all(str(number) in prompt.prompt for number in numbers), prompt.id


def test_the_bootstrap_interval_holds_the_mean_and_is_the_same_every_time() -> None:
    values = np.random.default_rng(1).normal(10, 5, 200)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high
    # The normal approximation of the interval's half width.
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(200), rel=0.15)
    assert bootstrap_interval(values) == (low, high)
