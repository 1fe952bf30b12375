"""The check: is this text complete, and does it say something new to its end?

`refusal(text, finish_reason, limits)` decides about a finished text; `Watch` sees the same text as it is written and
stops a loop at once. Both use the same counter and the same bounds.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from lengthen.common.text.repetition import RepetitionCounter
from lengthen.common.text.words import count_words

# Reasons, a closed set: each is a value of the `rejected` table's column.
REASONS = ("finish_reason", "empty", "too_short", "unfinished", "loop", "repetition", "meta_talk", "control_tokens", "garbled")

_SENTENCE_END = re.compile(r"""[.!?。!?…][*_"'”’»)\]`」』)]*$""")
_CLOSED_BLOCK = re.compile(r"^\s*(?:\|.*\||```|~~~|[-*_]{3,})\s*$")  # the end of a table, a code fence, a rule
_LIST_ITEM = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+\S+(?:\s+\S+){0,11}$")  # an item may be a short phrase without a full stop
_META_TALK = re.compile(
    r"\bhere(?:'s| is| are) (?:the|a|an|your|my) (?:[\w-]+ ){0,3}(?:answer|version|draft|response|rewrite)\b"
    r"|\b(?:revised|expanded|extended|rewritten|longer) (?:version|draft|text|response|article)\b"
    r"|\byour (?:\w+ )?response should\b|\b(?:draft|instruction)s? above\b"
    r"|\bas an ai\b|\bas a language model\b|\bi hope this helps|\blet me know if you",
    re.IGNORECASE,
)
_GARBLED = re.compile("\ufffd|\x00|[\ud800-\udfff]|Ã[\x80-\xbf]|â€")
EDGE = 300  # characters at each end in which meta talk is looked for; inside a text the phrases can be its subject


class Limits(Protocol):
    """The bounds of `config.Check`."""

    @property
    def max_repetition(self) -> float: ...
    @property
    def loop_words(self) -> int: ...
    @property
    def min_words(self) -> int: ...


class Refusal(NamedTuple):
    """Why a text was refused: one of REASONS, and the figure or the place that decided it."""

    reason: str
    detail: str


class Watch:
    """Fed each new piece of a text; answers with a reason to stop writing it, or None. One for each request."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.counter = RepetitionCounter()

    def __call__(self, piece: str) -> str | None:
        self.counter.feed(piece)
        return "loop" if self.counter.longest_run >= self.limits.loop_words else None


def refusal(text: str, finish_reason: str, limits: Limits, control_tokens: frozenset[str] = frozenset()) -> Refusal | None:
    """Why `text` is refused, or None when it is accepted. Never raises on any text.

    Args:
        text: the finished text.
        finish_reason: "stop" when the model ended it itself; "length", "loop", … otherwise.
        limits: the bounds.
        control_tokens: the tokenizer's special tokens, which must not stand in a text as words.
    """
    if finish_reason == "loop":
        return Refusal("loop", f"stopped while it was written, after {limits.loop_words} repeated words in a row")
    if finish_reason != "stop":
        return Refusal("finish_reason", finish_reason)
    if not text.strip():
        return Refusal("empty", "0 words")
    if (words := count_words(text)) < limits.min_words:
        return Refusal("too_short", f"{words} words < {limits.min_words}")
    return unfit(text, control_tokens) or _repeats(text, limits) or meta_talk(text) or _breaks_off(text)


def unfit(text: str, control_tokens: frozenset[str]) -> Refusal | None:
    """Why a text can't be put into a prompt: it would steer the chat template, or it is garbled."""
    if found := next((token for token in sorted(control_tokens) if token in text), None):
        return Refusal("control_tokens", found)
    if match := _GARBLED.search(text):
        return Refusal("garbled", f"{match.group()!a} at character {match.start()}")
    return None


def _repeats(text: str, limits: Limits) -> Refusal | None:
    counter = RepetitionCounter()
    counter.feed(text)
    counter.finish()
    if counter.longest_run >= limits.loop_words:
        return Refusal("loop", f"{counter.longest_run} repeated words in a row")
    if counter.rate > limits.max_repetition:
        return Refusal("repetition", f"{counter.rate:.3f} > {limits.max_repetition}")
    return None


def meta_talk(text: str) -> Refusal | None:
    """Talk about the text instead of the text, at its beginning or end."""
    for edge in (text[:EDGE], text[-EDGE:]):
        if match := _META_TALK.search(edge):
            return Refusal("meta_talk", match.group())
    return None


def _breaks_off(text: str) -> Refusal | None:
    last = text.rstrip().rsplit("\n", 1)[-1].rstrip()
    if _SENTENCE_END.search(last) or _CLOSED_BLOCK.match(last) or _LIST_ITEM.match(last):
        return None
    return Refusal("unfinished", last[-60:])
