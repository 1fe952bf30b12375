"""What each role learns from a row: a prompt and its answer (Self-Lengthen, section 3.3; arXiv 2410.23933)."""

from __future__ import annotations

from typing import Any, NamedTuple

from lengthen.common.engine.protocol import Prompt
from lengthen.common.method.extend.prompt import extend_prompt
from lengthen.common.method.ids import row_random
from lengthen.common.text.blocks import Kind, kinds
from lengthen.common.text.paragraphs import normalized


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
    """The text without some of its lines: each is dropped with probability `drop_lines`, drawn by the row's id; never all of them.

    The lines of a code block, a formula or a table are dropped or kept together.
    """
    random = row_random(seed, row, "thinned")
    left: list[str] = []
    before, is_left = Kind.PROSE, True
    for kind, line in kinds(text):
        drawn = random.random() >= drop_lines
        if kind is Kind.PROSE or kind is not before:
            is_left = drawn or not line.strip()
        left += [line] * is_left
        before = kind
    return normalized("\n".join(left)) or next(line for line in text.split("\n") if line.strip())
