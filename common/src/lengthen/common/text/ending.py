"""Find texts that break off. Only positive signs of a break count: a text that ended by itself is finished without them.

Letters with signatures, scripts, verse, lists and formulas end without a full stop, so a missing one is no sign.
"""

from __future__ import annotations

import re

from lengthen.common.text.blocks import Kind, kinds, open_block
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.markdown import FENCE
from lengthen.common.text.words import count_words, units

_RULE = re.compile(r"^\s*(?:[-*_=]\s?){3,}$")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+\S|^\s{0,3}#{1,2}$")  # "###" alone ends a press release
_CHAPTER = re.compile(
    r"^\W*(?:(?:chapter|part|act|scene|section|book|canto)\s+(?:\d+|[ivxlc]+|one|two|three|four|five|six|seven|eight|nine|ten)\b[^.!?]{0,60}"
    r"|第[一二三四五六七八九十百\d]+[章节回幕部卷篇][^。！？]{0,30})$",
    re.IGNORECASE,
)
_END_WORD = re.compile(r"\b(?:end(?:s|ed)?|fin|finis|curtain|blackout|fade out|conclu\w+)\b|[完终]|结束|落幕|剧终", re.IGNORECASE)
_BOLD_LINE = re.compile(r"^\s*(\*\*|__)(?![\[(（【])(?:(?!\1).)+\1[:：]?\s*$")
_TABLE_HEAD = re.compile(r"^\s*\|?(?:\s*:?-{2,}:?\s*\|)+\s*(?::?-{2,}:?\s*)?$")
_OPEN_ROW = re.compile(r"^\s*\|(?:.*[^|\s])?\s*$")
_BARE_ITEM = re.compile(r"^\s*(?:[-*+•·]|\(?\d{1,3}[.)、]|\(?[a-z][.)]|[一二三四五六七八九十]+、)$")
_ITEM = re.compile(r"^\s*(?:[-*+•·]|\(?\d{1,3}[.)、]|\(?[a-z][.)])\s+")
_INCHES = re.compile(r"\d\"")
_LATEX_MARK = re.compile(r"(?<!\\)\\(?:[\[\]()]|begin\{|end\{)")
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e|cf|Fig)\.$")
_CLOSERS = "*_\"'”’»)]}`~>」』）】》〉〕 \t"
_UNDECIDED = (",", ";", ":", "，", "；", "：", "、", "&", "(", "（", "[", "【", "“", "「", "『", "《", "=", "+", "…,")
_DASHES = ("-", "–", "—")
_INTERRUPTED = re.compile("[-—–]+[\"'”’」』*_]+$")  # interrupted speech
_BRACKETS = {"(": ")", "[": "]", "{": "}", "（": "）", "【": "】", "《": "》", "「": "」", "『": "』"}
_NO_BRACKET = re.compile(
    r"[:;8=xX]['-]?[(\[{]|(?<!\S)\w{1,3}\)|`[^`]*`|\\.|\$[^$]*\$|https?://\S+"
)  # emoticons, list marks, code, formulas
_INNER_END = {"en": re.compile(r"[a-z\d]{2}[.!?][\"”')]*\s+(?=[A-Za-z“\"])"), "zh": re.compile(r"[。！？][”」』）]*(?=[^\s—])")}
_SOURCE = re.compile(r"\b(?:1[5-9]|20)\d\d\b|https?://|www\.|\bpp?\.\s?\d|doi|《|\bed\.|\bvol\.", re.IGNORECASE)
_LABEL = re.compile(r"[^\w#]*(?:\d+[.)、] *)?[\w' -]{1,40}[:：]|.*(?:^|\s)#\w+$")  # "Rating: 5 of 5", hashtags
_TAIL = 1000  # characters of the last line that are examined, so that a very long line takes bounded time
_NAME = {
    "en": re.compile(r"[A-Z][\w’'.-]*(?:,? (?:[A-Z\d][\w’'.-]*|of|the|and|de|van|von))*"),
    "zh": re.compile(r".{0,16}[年月日完终]|.{2,8}[\s　].*"),
}
# A short line may end with these, such as a verse: "Where I come from".
_MAY_END = frozenset("as at by for from in into of on that to with".split())  # noqa: SIM905
_PROSE_WORDS = 8  # of a line that is prose, not verse or a signature
_PROSE = 0.8  # share of a text's long lines that end with a sentence
_LINES = 30  # of the text before the last line


def find_unfinished_end(text: str, language: str) -> str | None:
    """The end of a text that breaks off, or None if nothing shows that it does."""
    if opened := open_block(text):
        return f"an open block: {opened[:60]}"
    if "\\" in text[-_TAIL:] and (opened := _open_latex(text)):
        return f"an open formula: {opened}"
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    if FENCE.match(lines[-1]):
        return None
    while len(lines) > 1 and (_RULE.match(lines[-1]) or not lines[-1]):
        lines.pop()
    last = _LINK.sub(r"\1", lines[-1][-_TAIL:])
    if _is_lone_heading(lines):
        return f"a heading with nothing under it: {last[-60:]}"
    broken = _TABLE_HEAD.match(last) or _OPEN_ROW.match(last) or _BARE_ITEM.match(last) or _breaks_off(last, lines, language)
    return last[-60:] or "nothing" if broken else None


def _open_latex(text: str) -> str | None:
    """The mark at the end of a text that opens a formula or an environment which is not closed behind it; or None."""
    end = "\n".join(line for kind, line in kinds(text) if kind is not Kind.CODE)[-_TAIL:]
    last = {mark.group(): mark.start() for mark in _LATEX_MARK.finditer(_INLINE_CODE.sub(" ", end))}
    pairs = (("\\[", "\\]"), ("\\(", "\\)"), ("\\begin{", "\\end{"))
    return next((opening for opening, closing in pairs if last.get(opening, -1) > last.get(closing, -1)), None)


def ends_a_sentence(line: str, language: str) -> bool:
    """Whether a line ends with the punctuation of a sentence, followed by nothing but closing quotation marks, brackets and notes."""
    bare = re.sub(r"(?:\[\^?\w{1,4}\]|[¹²³⁰-⁹]|[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d])+$", "", line.rstrip()).rstrip(_CLOSERS)
    return bare.endswith(tuple(LANGUAGES[language].ends + "。！？")) and not _ABBREVIATION.search(bare)


def _is_lone_heading(lines: list[str]) -> bool:
    last = lines[-1]
    if len(lines) == 1 or (_END_WORD.search(last) and count_words(last) <= 12):
        return False
    if _HEADING.match(last) or _CHAPTER.match(last):
        return True
    # A line in bold can be a signature: it is a heading where such lines head other parts of the text.
    return (
        bool(_BOLD_LINE.match(last))
        and any(_BOLD_LINE.match(line) and any(map(str.strip, following)) for line, following in _with_next_lines(lines[:-1]))
        and not ends_a_sentence(last, "zh")
    )


def _with_next_lines(lines: list[str]) -> list[tuple[str, list[str]]]:
    return [(line, lines[at + 1 : at + 3]) for at, line in enumerate(lines)]


def _breaks_off(last: str, lines: list[str], language: str) -> bool:
    """Whether the last line ends within a sentence, a bracket or a mark."""
    if ends_a_sentence(last, language):
        return False
    bare = last.rstrip(_CLOSERS)
    if _ABBREVIATION.search(last) or last.endswith(_UNDECIDED) or bare.endswith((",", ";", "，", "；", "、")):
        return True
    if last.endswith(_DASHES) and not last.startswith(_DASHES) and not _ends_like_others(lines):
        return True
    if _INTERRUPTED.search(last):
        return False
    return _open_bracket(last) or _open_mark(last) or _dangles(bare, language) or _open_sentence(last, lines, language)


def _ends_like_others(lines: list[str]) -> bool:
    """Whether other lines before the last one end with a dash too, as in verse."""
    return sum(line.endswith(_DASHES) for line in lines[-9:-1]) >= 2


def _open_bracket(line: str) -> bool:
    """Whether a bracket that the line opens is not closed in it."""
    stack: list[str] = []
    for character in _NO_BRACKET.sub(" ", line):
        if character in _BRACKETS:
            stack.append(_BRACKETS[character])
        elif stack and character == stack[-1]:
            stack.pop()
    return bool(stack)


def _open_mark(line: str) -> bool:
    """Whether bold text or a quotation is opened and not closed."""
    return line.count("**") % 2 == 1 or line.count("“") > line.count("”") or (line.count('"') % 2 == 1 and not _INCHES.search(line))


def _dangles(line: str, language: str) -> bool:
    """Whether the last word must be followed by another one, such as "the" or 因为."""
    dangling = LANGUAGES[language].dangling
    if language == "zh":
        return any(line.endswith(word) for word in dangling)
    last = "".join(units(line[-60:])[-1:])
    return last in dangling and (last not in _MAY_END or count_words(line) >= _PROSE_WORDS)


def _open_sentence(line: str, lines: list[str], language: str) -> bool:
    """Whether a line of prose ends within a sentence: words follow its last ended sentence, or it has no ended one and the other
    long lines of the text have. Names, dates, sources, postscripts and items of lists have none."""
    words = count_words(line)
    if (
        words < _PROSE_WORDS
        or line[-1] in "*_"
        or line[-1] in _BRACKETS.values()
        or _SOURCE.search(line)
        or line.startswith(("PS", "P.S", "P. S"))
    ):
        return False
    others = [other for other in lines[-_LINES:-1] if count_words(other[-_TAIL:]) >= _PROSE_WORDS]
    if _ITEM.match(line):
        others = [other for other in others if _ITEM.match(other)] if words >= 2 * _PROSE_WORDS else []
    elif ends := [match.end() for match in _INNER_END[language].finditer(line)]:
        return not _NAME[language].fullmatch(line[ends[-1] :].strip(_CLOSERS))
    elif _LABEL.match(line):
        return False
    ended = sum(ends_a_sentence(other, language) for other in others)
    return bool(others) and ended >= _PROSE * len(others) and not line[:1].islower()
