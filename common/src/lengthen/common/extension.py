"""The extend prompt: asked by expand, and learned by the extender in finetune. One wording for both."""

from __future__ import annotations

from functools import cache

from lengthen.common.promptfile import PromptFile, load_prompt


@cache
def load_extend_prompt(language: str) -> PromptFile:
    return load_prompt("lengthen.common", f"extend.{language}.txt", {"instruction", "draft"})
