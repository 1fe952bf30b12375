"""Find texts that are not whole: they say that a part is missing, or hold a placeholder for it."""

from __future__ import annotations

import re

from lengthen.common.text.markdown import strip_code
from lengthen.common.text.phrases.patterns import find_phrase, folded, load_patterns

_EDGE = 700  # characters at each end where a sentence can be about the text itself; elsewhere it can be the text's subject
_BRACKETED = re.compile(r"^[\s*_>#.…-]*[\[(（【{<《](?!\d+\])([^\n]{1,300}?)[\])）】}>》][\s*_.…。-]*$", re.MULTILINE)
_ELISION = re.compile(r"^\s*\[(?:\.{3}|…{1,2})\]\s*$", re.MULTILINE)
_CONTINUED = re.compile(r"(?:to be continued|未完待续|待续|（未完）|\(未完\))[\W_]*$", re.IGNORECASE)
QUOTED = re.compile(r"“[^”\n]{12,}”|\"[^\"\n]{12,}\"|「[^」\n]{12,}」")  # what somebody says in the text


def find_missing_part(text: str, language: str) -> str | None:
    """The words of a text that say that a part of it is missing, or that stand for the part; or None."""
    prose = strip_code(text)
    if match := _CONTINUED.search(prose[-60:]) or _ELISION.search(prose):
        return match.group().strip()
    placeholder = load_patterns("placeholder", language)
    for line in _BRACKETED.finditer(prose):
        if "\\" not in line.group() and placeholder.search(folded(line.group(1))):
            return line.group().strip()[:120]
    edges = (prose[:_EDGE], prose[-_EDGE:]) if len(prose) > _EDGE else (prose,)
    for edge in edges:
        if phrase := find_phrase("missing", language, QUOTED.sub(" ", edge)):
            return phrase
    return None
