"""Who can be asked to judge, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Reply:
    """A judge's answer and its cost in tokens; `problem` is why there is no text: refused, or unreachable."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    problem: str = ""


class AskedJudge(Protocol):
    name: str
    """What scores are signed with; `self:…` where the model's own base judges."""

    context_tokens: int
    control_tokens: frozenset[str]
    """Texts that would steer the judge's chat template; empty where the server keeps them apart."""

    async def ask(self, prompt: str, seed: int, temperature: float, analysis_words: int) -> Reply:
        """Raises: UserError, TransientError: no request will do until something is mended."""
        ...

    def count_tokens(self, text: str) -> int: ...
