"""Code in Markdown: what is no prose of any language."""

from __future__ import annotations

import re

FENCE = re.compile(r"^\s*(?:>\s*)*(`{3,}(?!.*`)|~{3,})(.*)$")  # a line that opens or closes a block; its mark and its info string
# A block that nothing closes reaches to the end: so each character is read once.
_BLOCK = re.compile(r"^[ \t>]*(```|~~~)[^`\n]*$.*?(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`[^`\n]+`|https?://\S+")


def without_blocks(text: str) -> str:
    """A text without its code blocks."""
    return _BLOCK.sub("\n", text) if "```" in text or "~~~" in text else text


def prose(text: str) -> str:
    """A text without code blocks, inline code and addresses."""
    return _INLINE.sub(" ", without_blocks(text))
