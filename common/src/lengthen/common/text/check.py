"""The check of a generated text: is it complete, in the right language, and without loops and repetition?

`check_text(text, finish_reason, limits, language=...)` decides about a finished text. `Watch` sees the text while it is generated,
and stops it when it can't be accepted any more. Both use the same counter and the same limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from lengthen.common.text.dialogue import find_control_text, find_role_turn
from lengthen.common.text.ending import find_unfinished_end
from lengthen.common.text.incomplete import QUOTED, find_missing_part
from lengthen.common.text.languages import LANGUAGES, foreign_share, most_likely_language, script_units
from lengthen.common.text.paragraphs import strip_ends
from lengthen.common.text.phrases.patterns import find_meta_talk, find_prompt_leak, find_refusal
from lengthen.common.text.prompt_text import check_prompt_text
from lengthen.common.text.rejection import Rejection
from lengthen.common.text.repetition import NGRAM, RepetitionCounter, count_repetition, loop_at_end, repeated_prose_lines
from lengthen.common.text.talk import find_talk
from lengthen.common.text.words import count_words

# All reasons: the values of the column `reason` in the `rejected` table.
REASONS = (
    "finish_reason", "empty", "too_short", "control_tokens", "garbled", "loop", "repetition", "repeated_lines",
    "language", "refused", "role_turn", "meta_talk", "incomplete", "prompt_leak", "unfinished",
)  # fmt: skip

_NO_PROSE = re.compile(r"[>\"“「『‘'(（\[|*•—–-]|\d+[.)、]|https?:|.*(?:https?://|\b(?:19|20)\d\d\b)")  # quotations, items, references
_END_UNITS = 8  # of a last paragraph in another script; three times as many words of another language

GIVE_UP_FACTOR = 4  # times the limit: to get below it, such a text would have to grow fourfold without any repetition


class Limits(Protocol):
    """The settings of `config.stages.Check`."""

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


BATCH = 256  # characters


class Watch:
    """Called with each new piece of a text; returns a reason to stop generating it, or None. One for each request.

    `check_text` rejects every text that it stops, because the figures that it compares can only grow. Up to `BATCH` characters are
    buffered before they are checked, so that most pieces take no time.
    """

    def __init__(self, limits: Limits, language: str) -> None:
        self.limits = limits
        self.counter = RepetitionCounter(LANGUAGES[language].ngram)
        self._buffer = ""
        self._counted: list[str] = []

    def __call__(self, piece: str) -> str | None:
        self._buffer = buffer = self._buffer + piece
        if len(buffer) < BATCH:
            return None
        self._count()
        rejection = _unrecoverable(self.counter, self.limits)
        return rejection.reason if rejection else None

    def counter_of(self, text: str) -> RepetitionCounter | None:
        """The counter after `text`, if this is the whole text that was watched; else None. Not to be called with further pieces."""
        if strip_ends("".join([*self._counted, self._buffer])) != text:
            return None
        self._count()
        self.counter.finish()
        return self.counter

    def _count(self) -> None:
        self.counter.feed(self._buffer)
        self._counted.append(self._buffer)
        self._buffer = ""


def check_text(
    text: str,
    finish_reason: str,
    limits: Limits,
    *,
    language: str,
    control_tokens: frozenset[str] = frozenset(),
    prompt: str | None = None,
    watch: Watch | None = None,
) -> Rejection | None:
    """Why `text` is rejected, or None if it is accepted. Does not raise, for any text.

    Args:
        text: the finished text.
        finish_reason: "stop" if the model ended the text; otherwise "length" or the reason of a `Watch`.
        limits: the settings.
        language: the language that the text must have, a key of `LANGUAGES`.
        control_tokens: the tokenizer's special tokens, which must not occur in a text.
        prompt: the prompt template, whose own words must not occur in the text.
        watch: of the request that gave the text. If nothing was cut off, its counts need not be made again.
    """
    counter = (watch and watch.counter_of(text)) or count_repetition(text, LANGUAGES[language].ngram)
    reasons = _reasons(text, finish_reason, limits, language, control_tokens, prompt, counter)
    return next((rejection for rejection in reasons if rejection is not None), None)


def _reasons(
    text: str,
    finish_reason: str,
    limits: Limits,
    language: str,
    control_tokens: frozenset[str],
    prompt: str | None,
    counter: RepetitionCounter,
) -> Iterator[Rejection | None]:
    """Each check in turn, the cheapest and most important first."""
    if finish_reason in ("loop", "repetition"):
        yield _repeats(text, limits, counter) or Rejection(finish_reason, "stopped while it was generated")
    if finish_reason != "stop":
        yield Rejection("finish_reason", finish_reason)
    if not text.strip():
        yield Rejection("empty", "0 words")
    words = count_words(text)
    yield Rejection("too_short", f"{words} words < {limits.min_words}") if words < limits.min_words else None
    yield check_prompt_text(text, control_tokens)
    yield _repeats(text, limits, counter)
    yield _in_other_language(text, limits, language)
    yield _reject("refused", find_refusal(text, language))
    yield _reject("control_tokens", find_control_text(text))
    yield _reject("role_turn", find_role_turn(text))
    yield _reject("incomplete", find_missing_part(text, language))
    yield _reject("meta_talk", find_meta_talk(text, language) or find_talk(text, language))
    yield _reject("prompt_leak", find_prompt_leak(text, prompt, language)) if prompt else None
    yield _reject("unfinished", find_unfinished_end(text, language))


def _reject(reason: str, detail: str | None) -> Rejection | None:
    return Rejection(reason, detail) if detail is not None else None


def _unrecoverable(counter: RepetitionCounter, limits: Limits) -> Rejection | None:
    """A loop, or a rate that was so high at some point that the text is rejected whatever follows."""
    loop = limits.loop_words * counter.n // NGRAM  # n is larger for Chinese, whose units are characters
    if counter.longest_loop >= loop:
        return Rejection("loop", f"{counter.longest_loop} words in a row that repeat the same words >= {loop}")
    if (rate := counter.highest_rate) > GIVE_UP_FACTOR * limits.max_repetition:
        return Rejection("repetition", f"{rate:.3f} > {GIVE_UP_FACTOR} x {limits.max_repetition} at some point")
    return None


def _repeats(text: str, limits: Limits, counter: RepetitionCounter) -> Rejection | None:
    if rejection := _unrecoverable(counter, limits):
        return rejection
    prose = counter.prose
    if (loop := loop_at_end(text, prose)) is not None:
        return Rejection("repetition", f"repeated at the end: {loop}")
    if counter.rate > limits.max_repetition:
        return Rejection("repetition", f"{counter.rate:.3f}, up to {counter.longest_run} words in a row, > {limits.max_repetition}")
    if (share := repeated_prose_lines(prose)) > limits.max_repeated_lines:
        return Rejection("repeated_lines", f"{share:.3f} > {limits.max_repeated_lines}")
    return None


def _in_other_language(text: str, limits: Limits, language: str) -> Rejection | None:
    counts = script_units(text)
    if (share := foreign_share(counts, language)) > limits.max_foreign:
        return Rejection("language", f"{share:.2f} in another script > {limits.max_foreign}")
    detected, share = most_likely_language(text, counts) or (language, 0.0)
    if detected != language:
        return Rejection("language", f"{share:.2f} of it is {detected}, not {language}")
    return _reject("language", _end_in_other_language(text, language))


def _end_in_other_language(text: str, language: str) -> str | None:
    """The beginning of the last paragraph, if it is in another language and no quotation, list item or reference; or None."""
    last = text.rstrip().rpartition("\n")[-1].strip()
    if _NO_PROSE.match(last):
        return None
    counts = script_units(QUOTED.sub(" ", last))
    foreign = counts.total() >= _END_UNITS and foreign_share(counts, language) > 1 / 2
    if not foreign and counts.total() >= 3 * _END_UNITS:
        foreign = (most_likely_language(last, counts) or (language, 0.0))[0] != language
    return f"the end is in another language: {last[:60]}" if foreign else None
