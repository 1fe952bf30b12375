"""The interface of every engine: `complete` a prompt, `score` continuations, count tokens.

A prompt is a user message and, optionally, a *prefill*: the beginning of the assistant's answer, which the model continues. The
tokenizer's chat template turns both into tokens, in the same way for inference and training (`chat.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lengthen.common.model.adapter import Adapter

# Called with each new piece of a text. A returned reason stops the request, and becomes its finish reason.
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
    json_schema: str | None = None  # the answer must be a JSON document of this schema


@dataclass(frozen=True)
class Completion:
    """The text that the model generated after the prompt and its prefill, without them."""

    text: str
    tokens: int  # generated
    finish_reason: str  # "stop": the model ended the text; "length": the token limit did; otherwise the watch's reason


class PromptTooLong(Exception):
    """A prompt fills the context, so nothing can be generated. Its row is rejected as `over_context`."""


class Engine(Protocol):
    control_tokens: frozenset[str]
    """The tokenizer's special tokens. A text that contains one is rejected, because it would act as a control token in a prompt."""

    async def complete(
        self, prompt: Prompt, sampling: SamplingParameters, *, adapter: Adapter | None = None, watch: WatchFunction | None = None
    ) -> Completion:
        """The model's continuation. Its length is limited to what is left of the context.

        Raises:
            PromptTooLong: the prompt fills the context.
            TransientError: the engine failed.
        """
        ...

    async def score(self, prompt: Prompt, continuations: list[str], *, adapter: Adapter | None = None) -> list[float]:
        """The log-probability (nats) of each continuation as the beginning of the answer."""
        ...

    def count_tokens(self, prompt: Prompt) -> int: ...

    async def close(self) -> None: ...
