"""Comparing two models in pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
from click.testing import CliRunner
from conftest import rows, succeed
from lengthen.evaluate.compare import compare_rows, main


@pytest.fixture
def scores(tmp_path: Path, model: Path) -> list[dict[str, Any]]:
    config = tiny.write_config(tmp_path / "c.yaml", model, evaluate={"samples": 2})
    for iteration, words in ((0, 60), (2, 90)):
        output = tmp_path / "run" / f"iter-{iteration:02d}" / "scores"
        common = ("--config", config, "--engine", "echo", "--iteration", iteration, "--set", f"echo.words={words}")
        succeed("evaluate", *common, "--output", output)
    return rows(tmp_path / "run" / "iter-00" / "scores", "scores")


def test_a_model_does_not_differ_from_itself(scores: list[dict[str, Any]]) -> None:
    for line in compare_rows(scores, scores):
        assert (line.difference.mean, line.difference.low, line.difference.high, line.is_significant) == (0, 0, 0, False)


def test_a_constant_difference_is_found_exactly(scores: list[dict[str, Any]]) -> None:
    longer = [row | {"words": row["words"] + 25} for row in scores]
    [words] = [line for line in compare_rows(scores, longer) if line.measure == "words"]
    assert (words.difference.low, words.difference.mean, words.difference.high) == (25, 25, 25)
    assert words.is_significant and words.difference.values == 28 and words.second == words.first + 25


def test_pairs_have_a_narrower_interval_than_separate_means(scores: list[dict[str, Any]]) -> None:
    """Prompts differ more than models, so the interval of the differences is narrower."""
    from lengthen.evaluate.figures import score_figures

    changed = [row | {"words": row["words"] + 10 + number % 3} for number, row in enumerate(scores)]
    [words] = [line for line in compare_rows(scores, changed) if line.measure == "words"]
    alone = score_figures(scores)["overall"]["words"]
    assert words.difference.high - words.difference.low < (alone["high"] - alone["low"]) / 5


def test_only_the_same_prompts_with_the_same_seeds_are_pairs(scores: list[dict[str, Any]]) -> None:
    other_seeds = [row | {"seed": row["seed"] + 1} if row["sample"] == 1 else row for row in scores]
    first = [row for row in scores if row["sample"] == 0]
    assert compare_rows(scores, other_seeds) == compare_rows(first, first)


def test_grades_of_two_judges_are_not_compared(scores: list[dict[str, Any]]) -> None:
    judged = [row | {"quality": 5.0, "judge": "a"} for row in scores]
    assert "quality" in {line.measure for line in compare_rows(judged, judged)}
    assert "quality" not in {line.measure for line in compare_rows(judged, [row | {"judge": "b"} for row in judged])}


def test_the_command_compares_iterations_and_runs(scores: list[dict[str, Any]], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shown = CliRunner().invoke(main, [str(run / "iter-00"), str(run)], env={"COLUMNS": "160"})
    assert shown.exit_code == 0, shown.output
    assert f"first: {run}/iter-00/scores" in shown.output and f"second: {run}/iter-02/scores" in shown.output
    [words] = [line for line in shown.output.splitlines() if line.split()[:1] == ["words"] and "latin" not in line]
    assert "+3" in words  # about 30 words more
    nothing = CliRunner().invoke(main, [str(run / "iter-00"), str(tmp_path)])
    assert nothing.exit_code == 2 and "has no complete scores" in nothing.output
