"""The protocol of judge models, and their reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Reply:
    """A judge's reply and its tokens. `problem` says why there is no text: `refused: …`, `unreachable: …` or `unreadable: …`."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    problem: str = ""


class JudgeModel(Protocol):
    name: str
    """The value of the column `judge`; `self:…` for the evaluated model's own base model."""

    context_tokens: int
    control_tokens: frozenset[str]
    """The special tokens of the judge's chat template, not allowed in a prompt; empty if the server escapes them."""

    async def ask(self, prompt: str, seed: int, temperature: float, analysis_words: int) -> Reply:
        """Send one request.

        Raises:
            UserError: every request would fail until the settings are corrected.
            TransientError: the endpoint cannot be reached.
        """
        ...

    def count_tokens(self, text: str) -> int: ...
