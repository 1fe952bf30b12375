"""One new instruction: proposed by the model from two examples, then judged by the base model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lengthen.augment.seeding import Example
from lengthen.augment.wording import Wording, load_wording
from lengthen.common.config.stages import Augment
from lengthen.common.engine.protocol import Completion, Prompt, PromptTooLong, SamplingParameters
from lengthen.common.engine.recorded import RowEngine
from lengthen.common.method.prompt_file import PromptFile, load_prompt
from lengthen.common.text.languages import detect
from lengthen.common.text.prompt_text import check_prompt_text
from lengthen.common.text.rejection import Rejection
from lengthen.common.text.words import count_words


@dataclass(frozen=True)
class Proposal:
    instruction: str
    parents: tuple[str, ...]
    tokens: int
    rejection: Rejection | None


@dataclass(frozen=True)
class InstructionPrompts:
    """The prompts of one language."""

    propose: PromptFile
    judge: PromptFile
    wording: Wording


def load_prompts(language: str) -> InstructionPrompts:
    propose = load_prompt("lengthen.augment", f"propose.{language}.txt", {"examples"})
    judge = load_prompt("lengthen.augment", f"judge.{language}.txt", {"instruction"})
    return InstructionPrompts(propose, judge, load_wording(language))


async def propose(
    engine: RowEngine, attempt: int, prompts: InstructionPrompts, examples: list[Example], sampling: SamplingParameters, settings: Augment
) -> Proposal:
    """Let the model continue the list of examples with one more instruction."""
    wording = prompts.wording
    listed = "\n\n".join(f"{wording.item(number)} {example.instruction}" for number, example in enumerate(examples, start=1))
    prompt = Prompt(prompts.propose.fill(examples=listed), wording.item(len(examples) + 1))
    parents = tuple(example.id for example in examples)
    one_paragraph = not any("\n" in example.instruction for example in examples)
    try:
        completion = await engine.complete(f"propose {attempt}", prompt, sampling, watch=StopAtNextItem(wording, one_paragraph))
    except PromptTooLong as error:
        return Proposal("", parents, 0, Rejection("over_context", str(error)))
    instruction = wording.first_item(completion.text, one_paragraph=one_paragraph)
    rejection = _rejection(instruction, examples[0].language, completion, engine.control_tokens, settings)
    return Proposal(instruction, parents, completion.tokens, rejection)


class StopAtNextItem:
    """Stops a request when the text reaches the next item of the list: only the first item is used."""

    def __init__(self, wording: Wording, one_paragraph: bool = False) -> None:
        self.wording, self.one_paragraph, self.text = wording, one_paragraph, ""

    def __call__(self, piece: str) -> str | None:
        self.text += piece
        return "next_item" if self.wording.has_next_item(self.text, one_paragraph=self.one_paragraph) else None


async def suitability(engine: RowEngine, attempt: int, prompts: InstructionPrompts, instruction: str) -> float:
    """The base model's p(yes) / (p(yes) + p(no)), from log-probabilities, summed over the spellings of each."""
    yes, no = prompts.wording.yes, prompts.wording.no
    prompt = Prompt(prompts.judge.fill(instruction=instruction))
    values = [math.exp(value) for value in await engine.score(f"judge {attempt}", prompt, [*yes, *no])]
    return sum(values[: len(yes)]) / sum(values)


def _rejection(
    instruction: str, language: str, completion: Completion, control_tokens: frozenset[str], settings: Augment
) -> Rejection | None:
    if completion.finish_reason == "length":
        return Rejection("finish_reason", "length")
    words = count_words(instruction)
    if words < settings.min_words:
        return Rejection("too_short", f"{words} words < {settings.min_words}")
    if words > settings.max_words:
        return Rejection("too_long", f"{words} words > {settings.max_words}")
    if (found := detect(instruction)) not in (None, language):
        return Rejection("language", f"{found}, not {language}")
    return check_prompt_text(instruction, control_tokens)
