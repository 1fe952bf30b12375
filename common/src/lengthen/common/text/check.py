"""The check: is this text complete, in its language, and does it say something new to its end?

`refusal(text, finish_reason, limits, language=…)` decides about a finished text; `Watch` sees the same text as it is
written and stops what can't be accepted any more. Both use the same counter and the same bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from lengthen.common.text.ending import breaks_off
from lengthen.common.text.garbled import garbled
from lengthen.common.text.languages import LANGUAGES, foreign_share, likeliest, script_units
from lengthen.common.text.phrases import meta_talk, prompt_leak, refused
from lengthen.common.text.repetition import NGRAM, RepetitionCounter, counted, repeated_lines, tail_loop
from lengthen.common.text.words import count_words

# Reasons, a closed set: each is a value of the `rejected` table's column.
REASONS = (
    "finish_reason", "empty", "too_short", "control_tokens", "garbled", "loop", "repetition", "repeated_lines",
    "language", "refused", "meta_talk", "prompt_leak", "unfinished",
)  # fmt: skip

HOPELESS = 4  # times the bound: such a text would have to grow fourfold without repeating a word


class Limits(Protocol):
    """The bounds of `config.Check`."""

    @property
    def max_repetition(self) -> float: ...
    @property
    def max_repeated_lines(self) -> float: ...
    @property
    def loop_words(self) -> int: ...
    @property
    def max_foreign(self) -> float: ...
    @property
    def min_words(self) -> int: ...


class Refusal(NamedTuple):
    """Why a text was refused: one of REASONS, and the figure or the place that decided it."""

    reason: str
    detail: str


class Watch:
    """Fed each new piece of a text; answers with a reason to stop writing it, or None. One for each request.

    What it stops, `refusal` refuses too: the figures that it stops at can only grow. Up to 256 characters wait until they
    are looked at together.
    """

    def __init__(self, limits: Limits, language: str) -> None:
        self.limits = limits
        self.counter = RepetitionCounter(LANGUAGES[language].ngram)

    def __call__(self, piece: str) -> str | None:
        self.counter.feed(piece)
        stopped = _hopeless(self.counter, self.limits)
        return stopped.reason if stopped else None


def refusal(
    text: str,
    finish_reason: str,
    limits: Limits,
    *,
    language: str,
    control_tokens: frozenset[str] = frozenset(),
    prompt: str | None = None,
) -> Refusal | None:
    """Why `text` is refused, or None when it is accepted. Never raises on any text.

    Args:
        text: the finished text.
        finish_reason: "stop" when the model ended it itself; "length", or the reason of a `Watch`, otherwise.
        limits: the bounds.
        language: the language that the text has to be in, a key of `LANGUAGES`.
        control_tokens: the tokenizer's special tokens, which must not stand in a text as words.
        prompt: the prompt template whose own words must not stand in the text.
    """
    reasons = _reasons(text, finish_reason, limits, language, control_tokens, prompt)
    return next((found for found in reasons if found is not None), None)


def unfit(text: str, control_tokens: frozenset[str]) -> Refusal | None:
    """Why a text can't be put into a prompt: it would steer the chat template, or it is garbled."""
    if found := next((token for token in sorted(control_tokens) if token in text), None):
        return Refusal("control_tokens", found)
    return _as("garbled", garbled(text))


def _reasons(
    text: str, finish_reason: str, limits: Limits, language: str, control_tokens: frozenset[str], prompt: str | None
) -> Iterator[Refusal | None]:
    """Every reason in turn, the cheap and the grave ones first."""
    if finish_reason in ("loop", "repetition"):
        yield _repeats(text, limits, language) or Refusal(finish_reason, "stopped while it was written")
    if finish_reason != "stop":
        yield Refusal("finish_reason", finish_reason)
    if not text.strip():
        yield Refusal("empty", "0 words")
    words = count_words(text)
    yield Refusal("too_short", f"{words} words < {limits.min_words}") if words < limits.min_words else None
    yield unfit(text, control_tokens)
    yield _repeats(text, limits, language)
    yield _in_other_language(text, limits, language)
    yield _as("refused", refused(text, language))
    yield _as("meta_talk", meta_talk(text, language))
    yield _as("prompt_leak", prompt_leak(text, prompt, language)) if prompt else None
    yield _as("unfinished", breaks_off(text, language))


def _as(reason: str, detail: str | None) -> Refusal | None:
    return Refusal(reason, detail) if detail is not None else None


def _hopeless(counter: RepetitionCounter, limits: Limits) -> Refusal | None:
    """A loop, or a rate that was so high at some point that the text is given up, whatever follows."""
    loop = limits.loop_words * counter.n // NGRAM  # a Chinese character is less than a word, and so n is larger
    if counter.longest_run >= loop:
        return Refusal("loop", f"{counter.longest_run} repeated words in a row >= {loop}")
    if counter.highest_rate > HOPELESS * limits.max_repetition:
        return Refusal("repetition", f"{counter.highest_rate:.3f} > {HOPELESS} x {limits.max_repetition} at some point")
    return None


def _repeats(text: str, limits: Limits, language: str) -> Refusal | None:
    counter = counted(text, LANGUAGES[language].ngram)
    if stopped := _hopeless(counter, limits):
        return stopped
    if (said := tail_loop(text)) is not None:
        return Refusal("repetition", f"at the end, again and again: {said}")
    if counter.rate > limits.max_repetition:
        return Refusal("repetition", f"{counter.rate:.3f} > {limits.max_repetition}")
    if (share := repeated_lines(text)) > limits.max_repeated_lines:
        return Refusal("repeated_lines", f"{share:.3f} > {limits.max_repeated_lines}")
    return None


def _in_other_language(text: str, limits: Limits, language: str) -> Refusal | None:
    counts = script_units(text)
    if (share := foreign_share(counts, language)) > limits.max_foreign:
        return Refusal("language", f"{share:.2f} in another script > {limits.max_foreign}")
    found, share = likeliest(text, counts) or (language, 0.0)
    return Refusal("language", f"{share:.2f} of it is {found}, not {language}") if found != language else None
