"""The extend prompt. Expand uses it, and finetune trains the extender on it, so both have the same words and format.

It has two forms. The one with the whole draft is used in phase 2 and for training. The one with the first half of a draft, for
phase 1, is the same but for a sentence: it says that the rest of the answer follows, so that the text is not concluded there.
"""

from __future__ import annotations

from functools import cache

from lengthen.common.method.prompt_file import PromptFile, load_prompt
from lengthen.common.text.paragraphs import first_half, normalized


@cache
def load_extend_prompt(language: str, *, half: bool = False) -> PromptFile:
    name = "extend_half" if half else "extend"
    return load_prompt("lengthen.common.method.extend", f"{name}.{language}.txt", {"instruction", "draft"})


@cache
def own_words(language: str) -> str:
    """Both templates, as one for the check: a text must have the words of neither."""
    return "\n\n".join(load_extend_prompt(language, half=half).text for half in (False, True))


def extend_prompt(language: str, instruction: str, draft: str, *, half: bool = False) -> str:
    """The prompt for a draft, or for its first half. Paragraphs are normalized, so all sources of drafts give the same format."""
    shown = first_half(draft) if half else normalized(draft)
    return load_extend_prompt(language, half=half).fill(instruction=instruction, draft=shown)
