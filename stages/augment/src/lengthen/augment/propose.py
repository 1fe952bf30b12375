"""One new instruction: proposed by the model from two examples, then judged by the base model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lengthen.augment.seeding import Example
from lengthen.augment.wording import Wording
from lengthen.common.engine.protocol import Completion, Engine, Prompt, SamplingParameters
from lengthen.common.promptfile import PromptFile
from lengthen.common.settings import Augment
from lengthen.common.store.calls import RowCalls
from lengthen.common.text.check import Refusal, unfit
from lengthen.common.text.languages import detect
from lengthen.common.text.words import count_words


@dataclass(frozen=True)
class Proposal:
    instruction: str
    parents: tuple[str, ...]
    tokens: int
    refused: Refusal | None


@dataclass(frozen=True)
class Asking:
    """How a language's instructions are asked for and judged."""

    propose: PromptFile
    judge: PromptFile
    wording: Wording


async def propose(
    calls: RowCalls, attempt: int, asking: Asking, examples: list[Example], sampling: SamplingParameters, settings: Augment
) -> Proposal:
    """Let the model continue the list of examples with one more."""
    wording = asking.wording
    listed = "\n\n".join(f"{wording.item(number)} {example.instruction}" for number, example in enumerate(examples, start=1))
    asked = Prompt(asking.propose.fill(examples=listed), wording.item(len(examples) + 1))
    completion = await calls.complete(f"propose {attempt}", asked, sampling, watch=Ending(wording))
    instruction = wording.first_item(completion.text)
    parents = tuple(example.id for example in examples)
    refused = _refusal(instruction, examples[0].language, completion, calls.engine, settings)
    return Proposal(instruction, parents, completion.tokens, refused)


class Ending:
    """Stops the request once the list goes on with another item: only the first one is wanted."""

    def __init__(self, wording: Wording) -> None:
        self.wording, self.text = wording, ""

    def __call__(self, piece: str) -> str | None:
        self.text += piece
        return "next_item" if self.wording.goes_on(self.text) else None


async def suitability(calls: RowCalls, attempt: int, asking: Asking, instruction: str) -> float:
    """The base model's p(yes) / (p(yes) + p(no)), from log-probabilities; each in the spellings that a chat model uses."""
    yes, no = asking.wording.yes, asking.wording.no
    asked = Prompt(asking.judge.fill(instruction=instruction))
    values = [math.exp(value) for value in await calls.score(f"judge {attempt}", asked, [*yes, *no])]
    return sum(values[: len(yes)]) / sum(values)


def _refusal(instruction: str, language: str, completion: Completion, engine: Engine, settings: Augment) -> Refusal | None:
    if completion.finish_reason == "length":
        return Refusal("finish_reason", "length")
    words = count_words(instruction)
    if words < settings.min_words:
        return Refusal("too_short", f"{words} words < {settings.min_words}")
    if words > settings.max_words:
        return Refusal("too_long", f"{words} words > {settings.max_words}")
    if (found := detect(instruction)) not in (None, language):
        return Refusal("language", f"{found}, not {language}")
    return unfit(instruction, engine.control_tokens)
