"""The extend prompt: asked by expand, and learned by the extender in finetune. One wording and one form for both."""

from __future__ import annotations

from functools import cache

from lengthen.common.promptfile import PromptFile, load_prompt
from lengthen.common.text.paragraphs import first_half, join_paragraphs, split_paragraphs


@cache
def load_extend_prompt(language: str) -> PromptFile:
    return load_prompt("lengthen.common", f"extend.{language}.txt", {"instruction", "draft"})


def extend_prompt(language: str, instruction: str, draft: str, *, half: bool = False) -> str:
    """The prompt for a draft or for its first half. Paragraphs are split and joined the same way wherever a draft comes from."""
    shown = first_half(draft) if half else join_paragraphs(split_paragraphs(draft))
    return load_extend_prompt(language).fill(instruction=instruction, draft=shown)
