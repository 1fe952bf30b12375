"""The selection of rows: a pure function of the whole dataset, the same for every reader and shard."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from conftest import expansion_row, response_row, rows, succeed, write
from hypothesis import given, settings
from hypothesis import strategies as st
from lengthen.common.method.selection import duplicates, left_out, selected
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables.definitions import EXPANSIONS, RESPONSES

WORDS = [f"word{n}" for n in range(400)]


def prose(number: int, words: int = 60) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=words)) + "."


def reworded(text: str) -> str:
    """The same text with one other word."""
    return text.replace(text.split()[30], "otherwise", 1)


def test_lengths_are_compared_within_a_language_and_an_iteration() -> None:
    """The selection must not prefer Chinese answers, which have more units, or later iterations, which have longer answers."""
    strata = [(language, iteration) for language in ("en", "zh") for iteration in (1, 2)]
    many = [(f"{at}-{n:04d}", stratum, 10 ** (at + 1) + n) for at, stratum in enumerate(strata) for n in range(2_500)]
    used = selected(many, seed=3)
    for at in range(4):
        share = sum(row.startswith(f"{at}-") for row in used) / 2_500
        assert share == pytest.approx(0.595, abs=0.03)
        assert not any(row in used for row in (f"{at}-{n:04d}" for n in range(514)))  # the shortest 20.6 %


@settings(deadline=None, derandomize=True, database=None)
@given(st.permutations(range(12)), st.integers(0, 100))
def test_selection_is_independent_of_order_and_of_other_strata(order: list[int], seed: int) -> None:
    many = [(f"row{n}", ("en", n % 2), 100 + n * n % 7) for n in range(12)]
    used = selected(many, seed)
    assert selected([many[n] for n in order], seed) == used
    assert selected([row for row in many if row[1] == ("en", 1)], seed) == {row for row in used if int(row[3:]) % 2}


def test_of_two_duplicate_answers_the_smaller_id_is_used() -> None:
    texts = [("a", prose(1)), ("b", prose(2)), ("c", reworded(prose(1))), ("d", prose(2).upper()), ("e", prose(3))]
    found = {row: rejection.detail for row, rejection in duplicates(texts, 0.8).items()}
    assert found.keys() == {"c", "d"}
    similarity, _, other = found["c"].partition(" > 0.8, ")
    assert other == "a" and 0.8 < float(similarity) < 1
    assert found["d"] == "1.00 > 0.8, b"


def dataset(folder: Path, content: list[dict[str, Any]]) -> Path:
    return write(folder, RESPONSES, content)


def test_expand_rejects_near_duplicates_and_names_the_other_row(config: Path, tmp_path: Path) -> None:
    content = [response_row(n, prose(n)) for n in range(4)] + [response_row(9, reworded(prose(2)))]
    folder = dataset(tmp_path / "r", content)
    arguments = ("--config", config, "--engine", "echo", "--input", folder, "--set", "expand.length_biased_selection=false")
    succeed("expand", *arguments, "--output", tmp_path / "e")
    rejected = list(open_dataset(tmp_path / "e", EXPANSIONS).rejected())
    assert [(row["parent_id"], row["reason"]) for row in rejected] == [(f"{9:032x}", "duplicate")]
    assert rejected[0]["detail"].startswith("0.") and rejected[0]["detail"].endswith(f"{2:032x}")
    succeed("expand", *arguments, "--output", tmp_path / "all", "--set", "expand.max_similarity=1.0")
    assert len(rows(tmp_path / "all", "expansions")) == 5


def test_every_shard_rejects_the_same_rows(config: Path, tmp_path: Path) -> None:
    content = [response_row(n, prose(n % 15, words=40 + n % 9)) for n in range(30)]
    folder = dataset(tmp_path / "r", content)
    arguments = ("--config", config, "--engine", "echo", "--input", folder)
    succeed("expand", *arguments, "--output", tmp_path / "whole")
    for index in range(3):
        succeed("expand", *arguments, "--output", tmp_path / "shards", "--shard", f"{index}/3")
    from lengthen.common.dataset.stage_figures import stage_figures
    from lengthen.common.store.shards import seal

    sealed, whole = seal(tmp_path / "shards", stage_figures), read_manifest(tmp_path / "whole")
    assert whole is not None and whole.rejected == sealed.rejected and {"duplicate", "selected_out"} <= whole.rejected.keys()
    assert sealed.summary == whole.summary


def test_of_several_datasets_the_duplicate_in_the_later_one_is_rejected(tmp_path: Path) -> None:
    new = write(tmp_path / "new", EXPANSIONS, [expansion_row(5, "short text", prose(1)), expansion_row(6, "short text", prose(2))])
    old = write(tmp_path / "old", EXPANSIONS, [expansion_row(1, "short text", prose(1)), expansion_row(2, "short text", prose(3))])
    datasets = [open_dataset(folder, EXPANSIONS) for folder in (new, old)]
    found = left_out(datasets, "expansion", "expansion_words", 1, length_biased=False, max_similarity=0.8)
    assert {row: why.reason for row, why in found.items()} == {f"{1:032x}": "duplicate"}
