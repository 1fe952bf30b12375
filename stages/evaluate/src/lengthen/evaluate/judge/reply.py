"""A judge's reply: seven integers from 1 to 10. Its JSON schema, and a parser that also reads replies without JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from lengthen.common.tables.definitions import QUALITIES

_CHARACTERS_PER_WORD = 6  # a JSON schema limits the analysis in characters


class UnreadableReply(Exception):
    """A reply without seven valid grades; the message says why."""


def schema(analysis_words: int) -> dict[str, Any]:
    """The JSON schema of a reply: an analysis of limited length, then the grades. With 0 words the analysis is empty."""
    grades = {name: {"type": "integer", "minimum": 1, "maximum": 10} for name in QUALITIES}
    analysis = {"type": "string", "maxLength": analysis_words * _CHARACTERS_PER_WORD}
    return {
        "type": "object",
        "properties": {"analysis": analysis, **grades},
        "required": ["analysis", *QUALITIES],
        "additionalProperties": False,
    }


def reply_tokens(analysis_words: int) -> int:
    """The token limit of a reply: one token per character. Not a strict bound: an escaped character can have six tokens."""
    return analysis_words * _CHARACTERS_PER_WORD + 250


def read_grades(reply: str) -> dict[str, float]:
    """The grades of a reply by name: from its JSON object, otherwise from lines such as `Relevance: 8/10`.

    Raises:
        UnreadableReply: a grade is missing, or not an integer from 1 to 10.
    """
    values = _from_json(reply) or _from_lines(reply)
    if missing := [name for name in QUALITIES if name not in values]:
        raise UnreadableReply(f"no {', '.join(missing)}" if values else "no JSON object and no grades")
    return {name: float(_grade(name, values[name])) for name in QUALITIES}


def _from_json(reply: str) -> dict[str, Any]:
    start, end = reply.find("{"), reply.rfind("}")
    try:
        found = json.loads(reply[start : end + 1]) if 0 <= start < end else None
    except ValueError:
        return {}
    return {str(name).strip().lower(): value for name, value in found.items()} if isinstance(found, dict) else {}


def _from_lines(reply: str) -> dict[str, Any]:
    found = {name: re.search(rf"\b{name}\W{{1,12}}(\d+)(?:\s*/\s*10)?(?![\d.])", reply, re.IGNORECASE) for name in QUALITIES}
    return {name: match[1] for name, match in found.items() if match}


def _grade(name: str, value: Any) -> int:
    text = re.sub(r"(?:\.0+)?\s*(?:/\s*10)?$", "", str(value).strip())
    if isinstance(value, bool) or not text.isdigit() or not 1 <= int(text) <= 10:
        raise UnreadableReply(f"{name} is {str(value)[:40]!r}, not an integer from 1 to 10")
    return int(text)
