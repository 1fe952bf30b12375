"""Split and join paragraphs, in the same way in expand and for the training rows of finetune.

Splitting removes nothing but blank lines, and joining adds one blank line: code keeps its indentation, and a code block, a formula, a
table and a list stay in one paragraph.
"""

from __future__ import annotations

import re
from itertools import pairwise

from lengthen.common.text.blocks import Kind, kinds
from lengthen.common.text.words import count_words

BREAK = "\n\n"

_ITEM = re.compile(r"[ \t]*(?:(?:[-*+•·]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s|(?:\d+|[一二三四五六七八九十]+)、)")
_SHORT_ITEM = 30  # words, in Chinese characters; a longer list item is a paragraph of its own
_HEAD = re.compile(r"\s*(?:async|class|def|elif|else|except|finally|for|if|try|while|with)\b.*:\s*$|.*[{(\[]\s*$")  # of a block of code
_MARKED = re.compile(r"[ \t]*(?:#{1,6}\s|>|\|)|" + _ITEM.pattern)  # a heading, a quotation, a list item
_PARAGRAPH = 20  # words; verse, dialogue and the lines of wrapped text are shorter
_SENTENCE_END = re.compile(r"[^\w\s,;，；、-]\s*$")


def split_paragraphs(text: str) -> list[str]:
    """Split at blank lines. If that gives two paragraphs or fewer, split also at the line breaks of those whose lines are long."""
    paragraphs = _at_blank_lines(text)
    return paragraphs if len(paragraphs) > 2 else [line for paragraph in paragraphs for line in _at_line_breaks(paragraph)]


def join_paragraphs(paragraphs: list[str]) -> str:
    return BREAK.join(paragraphs)


def normalized(text: str) -> str:
    """A text with one blank line between its paragraphs."""
    return join_paragraphs(split_paragraphs(text))


def strip_ends(text: str) -> str:
    """A text without white space at its end and without blank lines at its beginning, where its first line keeps its indentation.

    A single space at the beginning is no indentation: some tokenizers put it before the first word.
    """
    return re.sub(r"\A(?:[^\S\n]*\n)*(?: (?=\S))?", "", text).rstrip()


def first_half(text: str) -> str:
    """The first half of the paragraphs, rounded up; at least one (the reference code: none of a single one)."""
    paragraphs = split_paragraphs(text)
    return join_paragraphs(paragraphs[: (len(paragraphs) + 1) // 2])


def first_two_thirds(text: str) -> str:
    """The first two thirds of the paragraphs, rounded down; at least one (the reference code: none of a single one)."""
    paragraphs = split_paragraphs(text)
    return join_paragraphs(paragraphs[: max(1, 2 * len(paragraphs) // 3)])


def _at_blank_lines(text: str) -> list[str]:
    paragraphs: list[list[str]] = []
    blank: list[str] = []  # lines since the last one that is not blank
    for kind, line in kinds(text):
        if kind is Kind.PROSE and not line.strip():
            blank.append(line)
            continue
        if paragraphs and (not blank or _belongs(line, paragraphs[-1])):
            paragraphs[-1] += [*blank, line]
        else:
            paragraphs.append([line])
        blank = []
    return ["\n".join(lines) for lines in paragraphs]


def _belongs(line: str, paragraph: list[str]) -> bool:
    """Whether a line after a blank line is inside the list item or the code before it, or is the next short item of a list."""
    before = [other for other in reversed(paragraph) if other.strip()]
    head = next((other for other in before if _indentation(other) < _indentation(line)), "")
    if _ITEM.match(head) or _HEAD.match(head):
        return True
    last = next((at for at, other in enumerate(before) if _ITEM.match(other)), None)
    if last is None or not _ITEM.match(line):
        return False
    return max(sum(map(count_words, before[: last + 1])), count_words(line)) <= _SHORT_ITEM


def _at_line_breaks(paragraph: str) -> list[str]:
    lines = kinds(paragraph)
    plain = [line for kind, line in lines if kind is Kind.PROSE and not _MARKED.match(line)]
    ended = sum(_SENTENCE_END.search(line) is not None for line in plain)
    if sum(map(count_words, plain)) < _PARAGRAPH * len(plain) or ended <= len(plain) / 2:
        return [paragraph]
    parts = [lines[0][1]]
    for (kind_before, before), (kind, line) in pairwise(lines):
        attached = kind is not Kind.PROSE or kind_before is not Kind.PROSE or _MARKED.match(line) or _ITEM.match(before)
        if attached or not line.strip() or not before.strip() or _indentation(line) > _indentation(before):
            parts[-1] += "\n" + line
        else:
            parts.append(line)
    return parts


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
