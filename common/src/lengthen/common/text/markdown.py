"""Remove what is not language from a Markdown text."""

from __future__ import annotations

import re
from functools import lru_cache

from lengthen.common.text.blocks import Kind, kinds, strip_formulas

FENCE = re.compile(r"^\s*(?:>\s*)*(`{3,}(?!.*`)|~{3,})(.*)$")  # a line that opens or closes a code block: fence and info string
_INLINE = re.compile(r"`[^`\n]+`|https?://\S+|\\[A-Za-z]+")


@lru_cache(maxsize=4)  # several checks of a text need it
def strip_code(text: str) -> str:
    """A text without code, formulas, LaTeX commands and URLs. The text of tables is kept."""
    lines = (strip_formulas(line) for kind, line in kinds(text) if kind in (Kind.PROSE, Kind.TABLE))
    return _INLINE.sub(" ", "\n".join(lines))
