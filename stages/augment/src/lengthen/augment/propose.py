"""One new instruction: proposed by the model from two examples, then judged by the base model."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from lengthen.augment.seeding import Example
from lengthen.common.config import Augment
from lengthen.common.engine.protocol import Completion, Engine, Prompt, SamplingParameters
from lengthen.common.promptfile import PromptFile
from lengthen.common.store.calls import RowCalls
from lengthen.common.text.check import Refusal, unfit
from lengthen.common.text.words import count_words

_NEXT_ITEM = re.compile(r"\n\s*(?:Instruction\s+)?\d+[.:)]|\n\s*\n")


@dataclass(frozen=True)
class Proposal:
    instruction: str
    parents: tuple[str, ...]
    tokens: int
    refused: Refusal | None


async def propose(
    calls: RowCalls, attempt: int, prompt: PromptFile, examples: list[Example], sampling: SamplingParameters, settings: Augment
) -> Proposal:
    """Let the model continue the list of examples with one more."""
    listed = "\n\n".join(f"Instruction {number}: {example.instruction}" for number, example in enumerate(examples, start=1))
    asked = Prompt(prompt.fill(examples=listed), f"Instruction {len(examples) + 1}:")
    completion = await calls.complete(f"propose {attempt}", asked, sampling, watch=Ending())
    instruction = first_item(completion.text)
    parents = tuple(example.id for example in examples)
    return Proposal(instruction, parents, completion.tokens, _refusal(instruction, completion, calls.engine, settings))


class Ending:
    """Stops the request once the list goes on with another item: only the first one is wanted."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, piece: str) -> str | None:
        self.text += piece
        return "next_item" if _NEXT_ITEM.search(self.text.lstrip()) else None


def first_item(text: str) -> str:
    """The first item of what the model wrote, on one line, without quotation marks around it."""
    item = " ".join(_NEXT_ITEM.split(text.strip(), maxsplit=1)[0].split())
    return item[1:-1].strip() if len(item) > 1 and item[0] in '"“' and item[-1] in '"”' else item


async def suitability(calls: RowCalls, attempt: int, prompt: PromptFile, instruction: str) -> float:
    """The base model's p(yes) / (p(yes) + p(no)), from log-probabilities; each in the spellings that a chat model uses."""
    spellings = ["Yes", "yes", "No", "no"]
    asked = Prompt(prompt.fill(instruction=instruction))
    values = [math.exp(value) for value in await calls.score(f"judge {attempt}", asked, spellings)]
    return (values[0] + values[1]) / sum(values)


def _refusal(instruction: str, completion: Completion, engine: Engine, settings: Augment) -> Refusal | None:
    if completion.finish_reason == "length":
        return Refusal("finish_reason", "length")
    words = count_words(instruction)
    if words < settings.min_words:
        return Refusal("too_short", f"{words} words < {settings.min_words}")
    if words > settings.max_words:
        return Refusal("too_long", f"{words} words > {settings.max_words}")
    return unfit(instruction, engine.control_tokens)
