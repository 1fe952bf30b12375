"""Length scores compared with values calculated by hand from the definitions in algorithm.md."""

from __future__ import annotations

import numpy as np
import pytest
from lengthen.common.method.demand import KINDS, Demand, Kind, bounds
from lengthen.evaluate.bootstrap import estimate
from lengthen.evaluate.item import EvaluationItem
from lengthen.evaluate.length import length_score, s_l
from lengthen.evaluate.score import text_measures


@pytest.mark.parametrize(
    ("kind", "length", "expected"),
    [("about", 1000, (800, 1200)), ("range", (300, 400), (300, 400)), ("above", 200, (200, 300)), ("below", 500, (250, 500))],
)
def test_bounds_of_a_demand(kind: Kind, length: int | tuple[int, int], expected: tuple[int, int]) -> None:
    assert bounds(kind, length) == expected
    assert (Demand(kind, length).lower, Demand(kind, length).upper) == expected


@pytest.mark.parametrize(
    ("words", "score"),
    [(0, 0.0), (400, 0.0), (600, 0.5), (799, 0.9975), (800, 1.0), (1200, 1.0), (1201, 1 - 2 / 1200), (1500, 0.5), (1800, 0.0), (5000, 0.0)],
)
def test_the_length_score_falls_linearly_outside_the_bounds(words: int, score: float) -> None:
    assert length_score(words, 800, 1200) == pytest.approx(score)


@pytest.mark.parametrize(
    ("words", "score"),
    [(0, 0.0), (333, 0.0), (334, 100 * (1 - (1000 / 334 - 1) / 2)), (500, 50.0), (1000, 100.0), (2500, 50.0), (4000, 0.0), (9000, 0.0)],
)
def test_s_l(words: int, score: float) -> None:
    assert s_l(words, 1000) == pytest.approx(score, abs=1e-9)


def test_each_score_uses_its_own_benchmarks_word_count() -> None:
    """LonGen counts Chinese punctuation and numbers as words, LongBench-Write does not."""
    text = "你好，世界。" * 10 + " and 2024 words"
    item = EvaluationItem("benchmark", "b", "ours", "1", "zh", "…", Demand("about", 63))
    found = text_measures(text, item)
    assert (found["words"], found["words_latin_runs"]) == (63, 42)
    assert found["length_score"] == 1.0
    assert found["s_l"] == pytest.approx(100 * (1 - (63 / 42 - 1) / 2)) == 75.0


def test_an_empty_answer_scores_zero() -> None:
    found = text_measures("", EvaluationItem("benchmark", "b", "ours", "1", "en", "…", Demand("about", 100)))
    assert (found["words"], found["length_score"], found["s_l"], found["repetition"]) == (0, 0.0, 0.0, 0.0)
    assert found["repetition_by_tenth"] == [0.0] * 10


def test_only_about_has_the_one_required_length_that_s_l_needs() -> None:
    demands = {kind: Demand(kind, (50, 150) if kind == "range" else 100) for kind in KINDS}
    assert {kind for kind, demand in demands.items() if demand.required} == {"about"}
    assert {demand.target for demand in demands.values()} == {100}


def test_the_bootstrap_interval_contains_the_mean_and_is_deterministic() -> None:
    values = [float(value) for value in np.random.default_rng(1).normal(10, 5, 200)]
    found = estimate(values)
    assert found is not None and found.values == 200
    assert found.low < found.mean < found.high
    # The normal approximation of the interval's half width.
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.std(values) / np.sqrt(200), rel=0.15)
    assert estimate(values) == found
    assert estimate([]) is None


def test_a_sample_larger_than_a_batch_has_an_interval() -> None:
    found = estimate([0.0, 1.0] * 3000)
    assert found is not None and found.mean == 0.5
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 0.5 / np.sqrt(6000), rel=0.15)
