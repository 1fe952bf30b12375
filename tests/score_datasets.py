"""Datasets of scores, with the given numbers of words and length scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lengthen.common.config.engine import Store
from lengthen.common.method.ids import row_id
from lengthen.common.store.commit import Outcome
from lengthen.common.store.origin import Origin
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import SCORES
from lengthen.evaluate.figures import FIGURES

_TEXTS = ("format", "category", "range", "prompt", "response", "finish_reason", "model", "kind")
_FIGURES = {"repetition": 0.0, "distinct_2": 1.0, "distinct_4": 1.0, "words_latin_runs": 1, "tokens": 1}


def write_scores(folder: Path, words: list[int], length_scores: list[float]) -> Path:
    """Write a complete dataset with one row for each prompt."""
    found = []
    for number, (count, score) in enumerate(zip(words, length_scores, strict=True)):
        row: dict[str, Any] = {field.name: None for field in SCORES.schema} | dict.fromkeys(_TEXTS, "") | _FIGURES
        found.append(row | {
            "id": row_id("evaluate", 0, str(number), 0), "part": "benchmark", "benchmark": "b", "prompt_id": str(number),
            "language": "en", "words": count, "length_score": score, "judge_input_tokens": 0, "judge_output_tokens": 0,
            "iteration": 1, "sample": 0, "seed": 1,
        })  # fmt: skip
    with DatasetWriter(folder, SCORES, Origin({"seed": 1}), Store()) as writer:
        for row in found:
            writer.add(row)
        writer.commit(Outcome(len(found), figures=FIGURES))
    return folder
