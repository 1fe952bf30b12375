"""Remove code from Markdown text."""

from __future__ import annotations

import re
from functools import lru_cache

FENCE = re.compile(r"^\s*(?:>\s*)*(`{3,}(?!.*`)|~{3,})(.*)$")  # a line that opens or closes a code block: fence and info string
# An unclosed block extends to the end of the text, so each character is matched once.
_BLOCK = re.compile(r"^[ \t>]*(```|~~~)[^`\n]*$.*?(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`[^`\n]+`|https?://\S+")


def strip_code_blocks(text: str) -> str:
    """A text without its code blocks."""
    return _BLOCK.sub("\n", text) if "```" in text or "~~~" in text else text


@lru_cache(maxsize=4)  # several checks of a text need it
def strip_code(text: str) -> str:
    """A text without code blocks, inline code and URLs."""
    return _INLINE.sub(" ", strip_code_blocks(text))
