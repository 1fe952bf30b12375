"""The extend prompt. Expand uses it, and finetune trains the extender on it, so both have the same words and format."""

from __future__ import annotations

from functools import cache

from lengthen.common.method.prompt_file import PromptFile, load_prompt
from lengthen.common.text.paragraphs import first_half, normalized


@cache
def load_extend_prompt(language: str) -> PromptFile:
    return load_prompt("lengthen.common.method.extend", f"extend.{language}.txt", {"instruction", "draft"})


def extend_prompt(language: str, instruction: str, draft: str, *, half: bool = False) -> str:
    """The prompt for a draft, or for its first half. Paragraphs are normalized, so all sources of drafts give the same format."""
    shown = first_half(draft) if half else normalized(draft)
    return load_extend_prompt(language).fill(instruction=instruction, draft=shown)
