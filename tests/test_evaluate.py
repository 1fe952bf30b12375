"""The evaluate stage with the echo engine: its rows and figures."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import expansion_row, refused, rows, succeed, write
from lengthen.common.dataset.stage_figures import stage_figures
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.shards import seal
from lengthen.common.tables.definitions import EXPANSIONS
from lengthen.common.text.repetition import count_repetition
from lengthen.evaluate.figures import FIGURE_COLUMNS, score_figures
from lengthen.evaluate.tenths import repetition_by_tenth, tenths


def summary(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    assert manifest is not None
    return manifest.summary


@pytest.fixture
def two(tmp_path: Path, model: Path) -> Path:
    """A config with two languages, two samples per prompt, a ruler, and some answers that end at the token limit."""
    evaluate = {"lengths": [[50, 100], [100, 200], [200, 300]], "ruler": [70, 140], "samples": 2, "sampling": {"max_tokens": 120}}
    return tiny.write_config(tmp_path / "c.yaml", model, languages=["en", "zh"], evaluate=evaluate)


def test_scores_have_every_part_and_its_figures(two: Path, tmp_path: Path) -> None:
    succeed("evaluate", "--config", two, "--engine", "echo", "--output", tmp_path / "s")
    found = rows(tmp_path / "s", "scores")
    parts = {part: [row for row in found if row["part"] == part] for part in ("benchmark", "ruler", "forgetting")}
    assert {part: len(mine) for part, mine in parts.items()} == {"benchmark": 112, "ruler": 16, "forgetting": 40}
    assert all(row["loss"] > 0 and row["tokens"] == 0 and row["asked"] is None for row in parts["forgetting"])
    figures = summary(tmp_path / "s")
    assert figures["overall"]["answers"] == 112 and figures["overall"]["words"]["values"] == 56  # prompts
    assert figures["mean_words"] == pytest.approx(sum(row["words"] for row in parts["benchmark"]) / 112)
    assert set(figures["by_kind"]) == {"about", "range", "above", "below"}
    assert set(figures["by_range"]) == {"50-100", "100-200", "200-300"} and set(figures["by_language"]) == {"en", "zh"}
    assert set(figures["ruler"]) == {"70", "140"} and figures["ruler"]["70"]["answers"] == 8
    cut = sum(row["finish_reason"] == "length" for row in parts["benchmark"])
    assert 0 < cut < 112 and figures["mean_cut"] == pytest.approx(cut / 112)
    losses = [row["loss"] for row in parts["forgetting"]]
    assert figures["forgetting"]["all"]["perplexity"] == pytest.approx(math.exp(sum(losses) / 40))
    assert figures["overall"]["words"]["low"] < figures["mean_words"] < figures["overall"]["words"]["high"]
    assert set(figures["decay"]) == {"repetition"} and len(figures["decay"]["repetition"]) == 10
    assert "judge" not in figures and {row["judge"] for row in found} == {None}


def test_two_runs_with_the_same_seed_give_the_same_bytes(two: Path, tmp_path: Path) -> None:
    judged = ("--set", "evaluate.judge.model=self", "--set", "evaluate.judge.by_tenth=true")
    for name, at_once in (("a", 16), ("b", 3)):
        succeed(
            "evaluate",
            "--config",
            two,
            "--engine",
            "echo",
            "--output",
            tmp_path / name,
            "--set",
            f"engine.rows_in_flight={at_once}",
            *judged,
        )
    first, second = ([path.read_bytes() for path in sorted((tmp_path / name).glob("*.parquet"))] for name in ("a", "b"))
    assert first and first == second
    assert summary(tmp_path / "a") == summary(tmp_path / "b")


def test_sealed_shards_have_the_figures_of_an_unsharded_dataset(two: Path, tmp_path: Path) -> None:
    succeed("evaluate", "--config", two, "--engine", "echo", "--output", tmp_path / "whole")
    for number in range(3):
        succeed("evaluate", "--config", two, "--engine", "echo", "--output", tmp_path / "s", "--shard", f"{number}/3")
    assert seal(tmp_path / "s", stage_figures).summary == summary(tmp_path / "whole")


def test_the_figures_of_one_row_are_its_values(two: Path, tmp_path: Path) -> None:
    succeed("evaluate", "--config", two, "--engine", "echo", "--output", tmp_path / "s", "--limit", 1)
    [row] = [row for row in rows(tmp_path / "s", "scores") if row["part"] == "benchmark" and row["sample"] == 0]
    overall = score_figures([{name: row[name] for name in FIGURE_COLUMNS}])["overall"]
    for name in ("words", "words_latin_runs", "length_score", "repetition", "distinct_2", "distinct_4"):
        assert overall[name] == {"mean": row[name], "low": row[name], "high": row[name], "values": 1}


def test_another_length_is_another_prompt_with_another_seed(two: Path, tmp_path: Path) -> None:
    """Ids and seeds do not depend on the iteration, so models can be compared; they depend on `evaluate.lengths`."""
    succeed("evaluate", "--config", two, "--engine", "echo", "--output", tmp_path / "a")
    succeed("evaluate", "--config", two, "--engine", "echo", "--output", tmp_path / "b", "--iteration", 3)
    other = ("--set", "evaluate.lengths=[[60,100],[110,200],[210,300]]")
    succeed("evaluate", "--config", two, "--engine", "echo", "--output", tmp_path / "c", *other)
    a, b, c = ({(row["id"], row["seed"]) for row in rows(tmp_path / name, "scores") if row["part"] == "benchmark"} for name in "abc")
    assert a == b
    assert 0 < len(a & c) < len(a)  # "below 100" is the same in both


LONG = " ".join(f"The river number {n} keeps a stone." for n in range(40))


def test_training_data_is_sampled_with_the_seed_and_scored_unchanged(config: Path, tmp_path: Path) -> None:
    content = [expansion_row(n, "A short text.", f"{LONG} It was {n}.") for n in range(30)]
    write(tmp_path / "e", EXPANSIONS, content)
    common = ("evaluate", "--config", config, "--input", tmp_path / "e", "--set", "evaluate.data_rows=12", "--engine", "vllm")
    result = succeed(*common, "--output", tmp_path / "s")  # scoring needs no engine, so none is started
    assert "12 of expansions" in result.stderr
    found = rows(tmp_path / "s", "scores")
    by_id = {row["id"]: row for row in content}
    assert len(found) == 12
    for row in found:
        source = by_id[row["prompt_id"]]
        assert (row["prompt"], row["response"]) == (source["instruction"], source["expansion"])
        assert row["words"] == source["expansion_words"] and row["length_score"] is None and row["tokens"] == 0
    figures = summary(tmp_path / "s")
    assert figures["overall"]["answers"] == 12 and 0 <= figures["instructions"]["mean_similarity"] <= 1
    succeed(*common, "--output", tmp_path / "again", "--seed", 5)
    assert {row["prompt_id"] for row in rows(tmp_path / "again", "scores")} != {row["prompt_id"] for row in found}


def test_training_data_and_a_benchmark_cannot_be_combined(config: Path, tmp_path: Path) -> None:
    write(tmp_path / "e", EXPANSIONS, [expansion_row(1, "A short text.", LONG)])
    (tmp_path / "b.jsonl").write_text("{}")
    line = refused(
        "evaluate", "--config", config, "--output", tmp_path / "s", "--input", tmp_path / "e", "--benchmark", tmp_path / "b.jsonl"
    )
    assert "--input scores existing training data; it cannot be combined with --benchmark or --adapter" in line


@pytest.mark.parametrize("text", ["", "word", LONG, "文字" * 333, "a\n\nb " * 50, "x" * 999])
def test_ten_parts_together_are_the_text(text: str) -> None:
    parts = tenths(text)
    assert len(parts) == 10 and "".join(parts) == text
    for before, after in pairwise(parts):
        assert not before or not after or before[-1].isspace() or after[0].isspace() or not before[-1].isascii()


def test_repetition_by_tenth_shows_where_a_loop_begins() -> None:
    text = " ".join(f"word{n}" for n in range(500)) + " " + " ".join(f"loop{n}" for n in range(25)) * 1
    text += (" " + " ".join(f"loop{n}" for n in range(25))) * 20
    rates = repetition_by_tenth(text, 10)
    assert rates[:4] == [0.0] * 4 and rates[-1] == 1.0
    assert sum(rates) / 10 == pytest.approx(count_repetition(text, 10).rate, abs=0.05)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("evaluate.lengths=[[1,2],[3,4]]", "evaluate.lengths"),
        ("evaluate.lengths=[[1,2],[4,3],[5,6]]", "three pairs"),
        ("evaluate.judge.model=gpt", "give `model: self` without a url"),
        ("evaluate.judge.url=http://localhost/v1", "give `model: self` without a url"),
        ("evaluate.judge={model: m, url: 'http://me:secret@host/v1'}", "must not contain a password"),
        ("evaluate.judge={model: m, url: 'ftp://host'}", "must begin with http"),
        ("evaluate.judge.api_key=sk-123", "evaluate.judge.api_key: no such key"),
        ("evaluate.judge={model: m, url: 'http://localhost:9/v1', api_key_variable: NO_SUCH_KEY_HERE}", "NO_SUCH_KEY_HERE is not set"),
    ],
)
def test_bad_settings(config: Path, tmp_path: Path, setting: str, problem: str) -> None:
    line = refused("evaluate", "--config", config, "--engine", "echo", "--output", tmp_path / "s", "--set", setting)
    assert problem in line and "secret" not in line
