"""Check whether a text can be used in a prompt."""

from __future__ import annotations

from lengthen.common.text.garbled import find_garbled
from lengthen.common.text.rejection import Rejection


def check_prompt_text(text: str, control_tokens: frozenset[str]) -> Rejection | None:
    """Why a text can't be used in a prompt (it contains a control token, or is garbled), or None."""
    if token := next((token for token in sorted(control_tokens) if token in text), None):
        return Rejection("control_tokens", token)
    detail = find_garbled(text)
    return Rejection("garbled", detail) if detail is not None else None
