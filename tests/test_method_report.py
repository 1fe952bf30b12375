"""The yield figures of a stage, in the manifest and on the terminal: rows, tokens, attempts, rejections."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from conftest import instruction_row, succeed, write
from lengthen.common.stage.describe import describe
from lengthen.common.stage.yields import yield_figures
from lengthen.common.store.manifest import Manifest, read_manifest
from lengthen.common.tables.definitions import INSTRUCTIONS


def test_the_figures_are_correct_and_independent_of_row_order() -> None:
    words, attempts, growth = [100, 300, 200, 400], [1, 1, 3, 12], [1.25, 1.5, 1.9, 7.0]
    figures = yield_figures(words, 5000, attempts, growth)
    assert figures["mean_words"] == 250 and figures["tokens_per_word"] == 5.0
    assert figures["attempts"] == {"1": 2, "3": 1, "12": 1}
    assert figures["growth"] == {"1.2 to 1.5": 1, "1.5 to 2": 2, "over 5": 1}
    assert figures["mean_growth"] == pytest.approx(2.9125)
    order = random.Random(1).sample(range(4), 4)
    assert figures == yield_figures(*([v[n] for n in order] if isinstance(v, list) else v for v in (words, 5000, attempts, growth)))


def test_without_accepted_rows_the_means_are_none() -> None:
    assert yield_figures([], 100, []) == {"mean_words": None, "tokens_per_word": None, "attempts": {}}


def test_the_description_fits_a_terminal_and_names_every_reason() -> None:
    reasons = {f"reason_number_{n}": n for n in range(1, 15)}
    summary = yield_figures([100] * 50, 9999, list(range(1, 51)), [1.3] * 50) | {"kept_names": None}
    manifest = Manifest("expansions", 2, [], [], 155, 50, reasons, "", {}, {}, 9999, summary)
    lines = describe(manifest).splitlines()
    assert max(map(len, lines)) <= 100
    shown = " ".join(" ".join(lines).split())
    assert all(f"{reason} {count}" in shown for reason, count in reasons.items())
    assert "155 rows in, 50 out, 105 rejected" in shown and "tokens per word 2.00" in shown and "1.2 to 1.5: 50" in shown
    assert "kept names" not in shown
    assert shown.index("reason_number_14") < shown.index("reason_number_1 1")  # the most frequent first


def test_a_stage_prints_its_yield_and_writes_it_to_the_manifest(config: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "i", INSTRUCTIONS, [instruction_row(n, f"Write an essay about subject {n}.") for n in range(12)])
    settings = ("--set", "echo.cut_share=0.4", "--set", "generate.attempts=2")
    shown = succeed("generate", "--config", config, "--engine", "echo", "--input", folder, "--output", tmp_path / "r", *settings).stderr
    manifest = read_manifest(tmp_path / "r")
    assert manifest is not None and manifest.summary["attempts"].keys() == {"1", "2"}
    assert manifest.summary["tokens_per_word"] > 1.2  # the tokens of rejected attempts are included
    for part in ("unfinished", "tokens per word", "attempts   1: "):
        assert part in shown
