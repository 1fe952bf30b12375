"""Cut off what a chat model says to the user before and after the text that it was asked for.

trim_talk("Sure! Here's a story about a harbour:\n\nIt was dark.\n\n(Word count: 3)", "en")
    == Trimmed("It was dark.", "Sure! Here's a story about a harbour:", "(Word count: 3)")

Only whole sentences are cut, and only those that the phrase files know. A sentence that says that a part of the text is missing
stays, so that the check rejects the text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from lengthen.common.text.incomplete import find_missing_part
from lengthen.common.text.paragraphs import strip_ends
from lengthen.common.text.phrases.patterns import folded, is_letter, load_patterns
from lengthen.common.text.words import count_words

_LINES = 4  # lines at each end that can be talk
_LONGEST = 90  # words of a paragraph that is talk as a whole
_BRACKET = 120  # characters of a remark in brackets at the end of a paragraph
_SHORT = 8  # words of a sentence beside talk that need not speak to the user: "Enjoy!"
_RULE = re.compile(r"\s*(?:[-*_=—]\s?){3,}\s*")
_SENTENCE = re.compile(r"""[^.!?:。！？：]*(?:[.!?:。！？：](?![\d.])["'”’」）)\]*_`]*|$)\s*|.+""", re.DOTALL)
_MARKS = " \t*_#>`~"
_WRAPPING = '()[]{}（）【】「」〔〕"“”*_#>`~-–— \t'
_INTERJECTION = {
    "en": re.compile(
        r"(?:certainly|sure(?: thing)?|absolutely|of course|okay|ok|alright|all right|great(?: (?:question|idea|choice|topic))?|no problem"
        r"|gladly|definitely|wonderful|understood|got it|yes|happy to (?:help|oblige)|with pleasure|my pleasure|very well"
        r"|as (?:you )?requested|per your request)\b\s*[!,.:;–—-]*\s*",
        re.IGNORECASE,
    ),
    "zh": re.compile(
        r"(?:好的?|好呀|好嘞|当然(?:可以|了|没问题)?|没问题|可以的?|明白(?:了)?|收到|了解(?:了)?|乐意(?:为(?:您|你))?效劳|嗯+|OK)[，,。！!：:～~\s]+",
        re.IGNORECASE,
    ),
}
_QUOTES = tuple("\"“”'‘’「」『』")  # around what a character says
_ABOUT_TEXT = re.compile(
    r"\bme to (?:continue|write|expand|revise)|\bwords?\b|word count|\brequest(?:ed)?\b"
    r"|\b(?:modif|adjust|customi[sz]|personali[sz]|tailor|adapt|edit)\w*\b[^.!?]*\b(?:this|the) (?:letter|e-?mail|speech|template|draft)"
    "|继续写|续写|修改|字",
    re.IGNORECASE,
)
_LONE = re.compile(r"(?:certainly|absolutely|sure|of course|sure thing)!|(?:好的|当然(?:可以)?|没问题)[！!。]", re.IGNORECASE)
_EXCLAIMED = re.compile(
    r"(?:certainly|absolutely|sure(?: thing)?|of course)!\s+(?=[A-Z])|(?:好的|当然可以|没问题)！\s*(?=\w)", re.IGNORECASE
)
_WITH_USER = re.compile(r"\b(?:you|your|i|i'm|my|me)\b|^\W*please\b|您|你|我(?!们)|祝", re.IGNORECASE)
_TO_USER = re.compile(
    r"\b(?:your|you|requested|detailed|comprehensive|in-depth|expanded|extended|revised|full-length|[\d,]+[- ]words?"
    r"|my (?:\w+ )?attempt|question|request|prompt)\b"
    "|您|你|要求|详细|完整|字的|扩写|改写|续写",
    re.IGNORECASE,
)


class Trimmed(NamedTuple):
    """A text, and what was cut off before and after it; "" if nothing was."""

    text: str
    preface: str
    trailer: str

    @property
    def removed(self) -> str:
        """What was cut off, as it is stored: a column of `responses` and `expansions`."""
        return "\n…\n".join(filter(None, (self.preface, self.trailer)))


def trim_talk(text: str, language: str) -> Trimmed:
    """Cut off the announcement of a text and the remarks after it. Nothing is cut if no text would be left."""
    start, end = _bounds(text, language)
    kept = strip_ends(text[start:end])
    if not count_words(kept):
        return Trimmed(text, "", "")
    return Trimmed(kept, text[:start].strip(), text[end:].strip())


def find_talk(text: str, language: str) -> str | None:
    """What `trim_talk` would cut off, even if no text would be left; or None."""
    start, end = _bounds(text, language)
    return f"{text[:start]} {text[end:]}".strip() or None


@lru_cache(maxsize=2)  # `trim_talk`, then the check of what is left
def _bounds(text: str, language: str) -> tuple[int, int]:
    start = _preface_end(text, language)
    return start, max(start, _trailer_start(text, language))


def _preface_end(text: str, language: str) -> int:
    """Where the text begins, behind the lines and sentences that announce it."""
    end, addressed = 0, False
    for _ in range(_LINES):
        line_start = len(text) - len(text[end:].lstrip())
        line = text[line_start:].partition("\n")[0]
        length, addressed = _announcement(line, language, addressed)
        if not length or find_missing_part(line[:length], language):
            break
        end = line_start + length
    rule = _RULE.match(text, end) if end else None
    return rule.end() if rule else end


def _announcement(line: str, language: str, addressed: bool) -> tuple[int, bool]:
    """The length of a line's first sentences that announce the text, and whether they speak to the user."""
    strong, courtesy = load_patterns("preface", language), load_patterns("courtesy", language)
    if not addressed and _LONE.fullmatch(folded(line).strip(_MARKS)):
        return len(line), True
    at = announced = 0
    if exclaimed := _EXCLAIMED.match(line):
        at, announced, addressed = exclaimed.end(), exclaimed.end(), True
    for match in _SENTENCE.finditer(line, at):
        sentence = folded(match.group()).strip().lstrip(_MARKS)
        while interjection := _INTERJECTION[language].match(sentence):
            addressed, sentence = True, sentence[interjection.end() :]
        sentence = sentence.rstrip(_MARKS)
        if not sentence:
            at = match.end()
        elif sentence[-1] in ":：" and match.end() < len(line) and not addressed:
            break  # the text may begin behind the colon
        elif strong.fullmatch(sentence) and (addressed or sentence[-1] in ":：" or _TO_USER.search(sentence)):
            at = announced = match.end()
            addressed = True
        elif courtesy.fullmatch(sentence):
            at, addressed = match.end(), True
        else:
            break
    return (at if at == len(line) and addressed and announced else announced), addressed


def _trailer_start(text: str, language: str) -> int:
    """Where the text ends, before the lines and sentences that talk about it."""
    end, letter = len(text), is_letter(text, language)
    for _ in range(_LINES):
        body = _without_rules(text[:end])
        line_start = body.rfind("\n") + 1
        remark = _remark(body[line_start:], language, letter)
        if remark is None or find_missing_part(body[line_start + remark :], language):
            break
        end = line_start + remark
        if remark:
            return end
    return len(_without_rules(text[:end])) if end < len(text) else end


def _without_rules(text: str) -> str:
    """A text without the rules and blank lines at its end."""
    while _RULE.fullmatch((text := text.rstrip())[(start := text.rfind("\n") + 1) :]):
        text = text[:start]
    return text


def _remark(line: str, language: str, letter: bool) -> int | None:
    """Where a line's last sentences about the text begin: 0 if the whole line is such; None if it has none."""
    trailer = load_patterns("trailer", language)

    def is_talk(sentence: str) -> bool:
        bare = folded(sentence).strip(" \t*_")
        if bare[:1] in _QUOTES or bare[-1:] in _QUOTES or (letter and not _about_text(bare)):
            return False
        return trailer.match(bare.strip(_WRAPPING)) is not None

    def to_user(sentence: str) -> bool:
        return count_words(sentence) <= _SHORT or bool(_WITH_USER.search(folded(sentence))) or is_talk(sentence)

    sentences = [match for match in _SENTENCE.finditer(line) if match.group().strip()]
    others = (sentence.group() for sentence in sentences[1:])
    if is_talk(line) and count_words(line) <= _LONGEST and all(map(to_user, others)):
        return 0
    bracket = max(line.rfind(mark, -_BRACKET) for mark in "(（[【")
    if bracket > 0 and line.rstrip(_MARKS)[-1:] in ")）]】" and is_talk(line[bracket:]):
        return bracket
    start = None
    for match in reversed(sentences):
        if not is_talk(match.group()):
            break
        start = match.start()
    return start or None


def _about_text(sentence: str) -> bool:
    """Whether a sentence at the end of a letter can't be the writer's own: an offer to write more, or a word count."""
    return _ABOUT_TEXT.search(sentence) is not None
