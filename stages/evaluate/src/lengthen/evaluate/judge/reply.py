"""What a judge answers: seven integers from 1 to 10. The schema that asks for them, and a reader for judges that ignore it."""

from __future__ import annotations

import json
import re
from typing import Any

from lengthen.common.tables import QUALITIES

_LETTERS_A_WORD = 6  # bounds the analysis where only characters can be counted


class Unreadable(Exception):
    """A reply without seven grades; the message says what is wrong with it."""


def schema(analysis_words: int) -> dict[str, Any]:
    """JSON schema of a reply: a bounded analysis, then the grades, so that the grades follow from it; 0 words: grades alone."""
    grades = {name: {"type": "integer", "minimum": 1, "maximum": 10} for name in QUALITIES}
    analysis = {"type": "string", "maxLength": analysis_words * _LETTERS_A_WORD}
    return {
        "type": "object",
        "properties": {"analysis": analysis, **grades},
        "required": ["analysis", *QUALITIES],
        "additionalProperties": False,
    }


def reply_tokens(analysis_words: int) -> int:
    """Room for a reply that keeps to the schema, were each character a token; escaped ones can be six, so it is no promise."""
    return analysis_words * _LETTERS_A_WORD + 250


def read_grades(reply: str) -> dict[str, float]:
    """The grades of a reply by name: from its JSON object, else from lines such as `Relevance: 8/10`.

    Raises:
        Unreadable: a grade is missing, or no integer from 1 to 10.
    """
    values = _from_json(reply) or _from_lines(reply)
    if missing := [name for name in QUALITIES if name not in values]:
        raise Unreadable(f"no {', '.join(missing)}" if values else "no JSON object and no grades")
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
        raise Unreadable(f"{name} is {str(value)[:40]!r}, no integer from 1 to 10")
    return int(text)
