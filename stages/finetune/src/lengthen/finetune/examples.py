"""What each role learns from a row: a prompt and its answer (Self-Lengthen, section 3.3; arXiv 2410.23933)."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lengthen.common.engine.protocol import Prompt
from lengthen.common.extension import extend_prompt
from lengthen.common.ids import row_random

_BLANK_LINES = re.compile(r"\n{3,}")


class Example(NamedTuple):
    prompt: Prompt
    answer: str


def example(row: dict[str, Any], role: str, drop_lines: float, seed: int) -> Example:
    """A training example from a row of `expansions`, or of `dataset` for the writer, exactly as inference asks for it."""
    if role == "writer":
        return Example(Prompt(row["query"]), row["response"])
    if role == "generator":
        return Example(Prompt(row["instruction"]), row["expansion"])
    draft = thinned(row["response"], drop_lines, seed, row["id"])
    return Example(Prompt(extend_prompt(row["language"], row["instruction"], draft)), row["expansion"])


def thinned(text: str, drop_lines: float, seed: int, row: str) -> str:
    """The text with every line dropped with probability `drop_lines`, drawn from the row's own seed; never all of them."""
    dice = row_random(seed, row, "thinned")
    lines = [(line, dice.random() >= drop_lines) for line in text.split("\n")]
    kept = "\n".join(line for line, keep in lines if keep or not line.strip())
    kept = _BLANK_LINES.sub("\n\n", kept).strip()
    return kept or next(line for line, _ in lines if line.strip())
