"""What every engine offers: `complete` a prompt, `score` continuations, count tokens.

A prompt is chat messages plus, where wanted, a *prefill*: the beginning of the assistant's own answer, from which the
model goes on. The tokenizer's chat template turns both into tokens, in inference and in training alike (`chat.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Fed each new piece of a text; a reason stops the request, which then finishes with that reason.
WatchFunction = Callable[[str], str | None]


@dataclass(frozen=True)
class Prompt:
    """One user message, and the beginning of the assistant's answer."""

    user: str
    prefill: str = ""


@dataclass(frozen=True)
class SamplingParameters:
    temperature: float
    top_p: float
    top_k: int  # 0: no limit
    repetition_penalty: float
    max_tokens: int
    seed: int  # [0, 2**31)
    json_schema: str | None = None  # the answer has to be a JSON document of this schema


@dataclass(frozen=True)
class Completion:
    """What the model wrote after the prompt (and after the prefill, which is not repeated here)."""

    text: str
    tokens: int  # generated
    finish_reason: str  # "stop": the model ended it; "length": the limit did; otherwise the watch's reason


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter's folder and the digest of its weights."""

    path: Path
    sha256: str


class PromptTooLong(Exception):
    """A prompt leaves no room in the context. Rows with such a prompt are rejected as `over_context`."""


class Engine(Protocol):
    control_tokens: frozenset[str]
    """The tokenizer's special tokens: text that contains one is refused, as it would steer the template."""

    async def complete(
        self, prompt: Prompt, sampling: SamplingParameters, *, adapter: Adapter | None = None, watch: WatchFunction | None = None
    ) -> Completion:
        """The model's continuation. Answers are cut to the room that the context leaves.

        Raises:
            PromptTooLong: the prompt fills the context.
            TransientError: the engine failed.
        """
        ...

    async def score(self, prompt: Prompt, continuations: list[str], *, adapter: Adapter | None = None) -> list[float]:
        """The log-probability (nats) of each continuation as the answer's beginning."""
        ...

    def count_tokens(self, prompt: Prompt) -> int: ...

    def close(self) -> None: ...
