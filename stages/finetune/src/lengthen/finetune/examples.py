"""What each role learns from a row: a prompt and its answer (Self-Lengthen, section 3.3; arXiv 2410.23933)."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lengthen.common.engine.protocol import Prompt
from lengthen.common.method.extend.prompt import extend_prompt
from lengthen.common.method.ids import row_random

_BLANK_LINES = re.compile(r"\n{3,}")


class Example(NamedTuple):
    prompt: Prompt
    answer: str


def example(row: dict[str, Any], role: str, drop_lines: float, seed: int) -> Example:
    """A training example from a row of `expansions`, or of `dataset` for the writer. The prompt is the one that inference uses."""
    if role == "writer":
        return Example(Prompt(row["query"]), row["response"])
    if role == "generator":
        return Example(Prompt(row["instruction"]), row["expansion"])
    draft = thinned(row["response"], drop_lines, seed, row["id"])
    return Example(Prompt(extend_prompt(row["language"], row["instruction"], draft)), row["expansion"])


def thinned(text: str, drop_lines: float, seed: int, row: str) -> str:
    """The text without some of its lines: each is dropped with probability `drop_lines`, drawn by the row's id; never all of them."""
    random = row_random(seed, row, "thinned")
    lines = [(line, random.random() >= drop_lines) for line in text.split("\n")]
    left = "\n".join(line for line, is_left in lines if is_left or not line.strip())
    left = _BLANK_LINES.sub("\n\n", left).strip()
    return left or next(line for line, _ in lines if line.strip())
