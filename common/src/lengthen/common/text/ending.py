"""Find texts that end unfinished: not with a complete sentence, and not with a Markdown block that needs none."""

from __future__ import annotations

import re
from functools import cache

from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.markdown import FENCE
from lengthen.common.text.phrases.patterns import load_patterns
from lengthen.common.text.words import count_words, units

_CLOSERS = r"""*_"'”’»)\]}`~>」』）】》〉〕—–-"""
_RULE = re.compile(r"^\s*(?:[-*_]\s?){3,}$")
_HEADING = re.compile(r"^\s{0,3}#{1,6}(?:\s|$)")
_TABLE_HEAD = re.compile(r"^\s*\|?(?:\s*:?-{2,}:?\s*\|)+\s*(?::?-{2,}:?\s*)?$")
_BLOCK = re.compile(r"^\s*(?:\|.*\||\$\$|\\\]|</\w+>)$")  # the end of a table, of a formula, of an HTML block
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_NOTE = re.compile(r"^\s*(?:\[\^[^\]\s]{1,20}\]:\s+\S|\[[^\]]{1,60}\]:\s+\S+$)")  # a footnote, a link reference
_ADDRESS = re.compile(r"https?://\S+[^\s,;:]$")
_ADORNMENT = re.compile("(?:\\[\\^?\\w{1,4}\\]|[¹²³⁰-⁹*]|[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d]|\\s)+$")
_ITEM = re.compile(r"^\s*(?:(?:[-*+•·]|\(?\d+[.)]|\(?[a-zA-Z][.)])(?:\s+|$)|[\d一二三四五六七八九十]+、)(\S.*)?$")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e)\.$")
_HASHTAGS = re.compile(r"^\s*(?:#\w+[\s,]*)+$")  # at the end of a social network post
_UNDECIDED = (",", ";", ":", "-", "–", "—", "，", "；", "：", "、", "(", "（", "“", "「", "/", "&")
_INTERRUPTED = re.compile("[-—–][\"'”’」』]+$")  # interrupted speech
_TAIL = 400  # characters of the last line that are examined, so that a very long line takes bounded time
_SHORT_ITEM = 12  # words; a short list item may have no full stop
_SIGNATURE = 4  # lines that may follow the closing of a letter


def find_unfinished_end(text: str, language: str) -> str | None:
    """The end of an unfinished text, or None if the text is finished."""
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    if fence := _open_fence(lines):
        return f"an open code fence: {fence[:60]}"
    if FENCE.match(lines[-1]):
        return None
    while len(lines) > 1 and (_RULE.match(lines[-1]) or not lines[-1]):
        lines.pop()
    last = lines[-1]
    if _HEADING.match(last) or _TABLE_HEAD.match(last):
        return f"a heading with nothing under it: {last[-60:]}"
    if _BLOCK.match(last) or _NOTE.match(last) or _HASHTAGS.match(last) or _ADDRESS.search(last[-_TAIL:]):
        return None
    if _ends_a_sentence(last, language) or _is_last_item(lines, language) or _has_closing(lines, language):
        return None
    return last[-60:]


def _open_fence(lines: list[str]) -> str:
    """The line that opens an unclosed code fence, or an empty string."""
    opened = mark = ""
    for line in lines:
        if not (match := FENCE.match(line)):
            continue
        if not opened:
            opened, mark = line, match.group(1)
        elif match.group(1).startswith(mark) and not match.group(2).strip():
            opened = ""
    return opened.strip()


def _ends_a_sentence(line: str, language: str) -> bool:
    item = _ITEM.match(line)
    if item and not item.group(1):  # a list marker without text
        return False
    bare = _LINK.sub(r"\1", line[-_TAIL:])
    if _ABBREVIATION.search(bare):
        return False
    endings = (bare, _ADORNMENT.sub("", bare))
    return any(_sentence_end(language).search(ending) or _INTERRUPTED.search(ending) for ending in endings)


@cache
def _sentence_end(language: str) -> re.Pattern[str]:
    return re.compile(rf"[{re.escape(LANGUAGES[language].ends)}]\s?[{_CLOSERS}]*$")


def _is_last_item(lines: list[str], language: str) -> bool:
    """Whether the last line is a complete list item: short, or without a full stop like the item before it."""
    item = _ITEM.match(lines[-1])
    if not item or not item.group(1):
        return False
    content = item.group(1).rstrip("*_`~")
    if not content or content.endswith(_UNDECIDED) or units(content)[-1] in LANGUAGES[language].dangling:
        return False
    before = next((line for line in reversed(lines[:-1]) if line), "")
    sibling = _ITEM.match(before)
    if sibling and not _ends_a_sentence(before, language):
        return True
    return bool(sibling or before.endswith((":", "："))) and count_words(content) <= _SHORT_ITEM


def _has_closing(lines: list[str], language: str) -> bool:
    """Whether the text ends with words such as "The end", or is a letter with a closing and a signature."""
    closing = load_patterns("closing", language)
    written = [line.strip("*_#~ ") for line in lines if line]
    if closing.fullmatch(written[-1].rstrip(".!")):
        return True
    return any(closing.fullmatch(line) for line in written[-_SIGNATURE:-1]) and count_words(written[-1]) <= 2 * _SIGNATURE
