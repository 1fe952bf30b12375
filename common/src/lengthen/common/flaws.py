"""Rows that can't be worked on, whatever the stage: found before an engine sees them, rejected one by one.

The files are what their manifest says (the reader has checked that); these are faults of the text itself, such as a column
that another program filled.
"""

from __future__ import annotations

from typing import Any

from lengthen.common.tables import Table
from lengthen.common.text.check import Refusal

TEXTS = {
    "instructions": ("instruction",),
    "responses": ("instruction", "response"),
    "expansions": ("instruction", "response", "expansion"),
    "dataset": ("query", "response"),
}
_CHARACTERS_A_TOKEN = 100  # no tokenizer packs more into each token of a prompt: such a text need not be tokenized to be too long


def flaw_of(table: Table, row: dict[str, Any], context_tokens: int) -> Refusal | None:
    """Why a row of `table` is unfit for any prompt, or None. Control tokens are the engine's to know (`check.unfit`)."""
    if empty := [name for name, value in row.items() if value is None and not table.schema.field(name).nullable]:
        return Refusal("empty", f"{', '.join(empty)} is null")
    for name in TEXTS.get(table.name, ()):
        text: str = row[name]
        if not text.strip():
            return Refusal("empty", f"{name} is empty")
        if len(text) > _CHARACTERS_A_TOKEN * context_tokens:
            return Refusal("over_context", f"{name} has {len(text):,} characters, for a context of {context_tokens:,} tokens")
        if not text.isprintable() and (bad := next((c for c in text if c == "\0" or "\ud800" <= c <= "\udfff"), None)):
            return Refusal("garbled", f"{name} holds {bad!a} at character {text.index(bad)}")
    return None
