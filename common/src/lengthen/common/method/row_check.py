"""Find rows that no stage can use, such as rows with an empty text. They are rejected before any engine call.

The reader has checked files against their manifest already; this checks the texts, which another program may have written.
"""

from __future__ import annotations

from typing import Any

from lengthen.common.tables.schema import Table
from lengthen.common.text.rejection import Rejection

TEXTS = {
    "instructions": ("instruction",),
    "responses": ("instruction", "response"),
    "expansions": ("instruction", "response", "expansion"),
    "dataset": ("query", "response"),
}
_CHARACTERS_A_TOKEN = 100  # more than any tokenizer puts in a token, so such a text is too long without tokenizing it


def check_row(table: Table, row: dict[str, Any], context_tokens: int) -> Rejection | None:
    """Why a row of `table` can't be used in a prompt, or None. For control tokens see `prompt_text.check_prompt_text`."""
    if empty := [name for name, value in row.items() if value is None and not table.schema.field(name).nullable]:
        return Rejection("empty", f"{', '.join(empty)} is null")
    for name in TEXTS.get(table.name, ()):
        text: str = row[name]
        if not text.strip():
            return Rejection("empty", f"{name} is empty")
        if len(text) > _CHARACTERS_A_TOKEN * context_tokens:
            return Rejection("over_context", f"{name} has {len(text):,} characters, for a context of {context_tokens:,} tokens")
        if not text.isprintable() and (bad := next((c for c in text if c == "\0" or "\ud800" <= c <= "\udfff"), None)):
            return Rejection("garbled", f"{name} holds {bad!a} at character {text.index(bad)}")
    return None
