"""Find garbled text: invalid characters, wrongly decoded bytes, and letters that are not words."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from lengthen.common.text.markdown import strip_code

_DAMAGE = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffd-\uffff]"
    "|Ã[\x80-\xbf]|Â[\x80-\xbf]|â€"  # UTF-8 of Latin letters and of quotation marks, read as Latin-1 or Windows-1252
    "|[\xe0-\xef][\x80-\x9f\xa1-\xaa\xac-\xba\xbc-\xbf]{2}"  # UTF-8 of anything Asian, read as Latin-1
    "|锟斤拷|烫烫烫|屯屯屯"  # replacement characters and uninitialized memory, read as GBK
)
_CONSONANT = "[bcdfghjklmnpqrstvwxz]"
_STRING = re.compile(r"[A-Za-z0-9+/=%_]{5,}")
_NO_WORD = re.compile(
    rf"^[A-Z]?{_CONSONANT}{{4,}}$"  # five letters without a vowel: hardly any English word
    rf"|{_CONSONANT}{{6}}"
    r"|([a-z])\1{4}"
)
_LONGEST_WORD = 59
MAX_UNREADABLE = 0.1  # share of the characters. Novels have less than 0.001, random letters 0.2


def find_garbled(text: str) -> str | None:
    """The first garbled characters of a text, or its share of unreadable strings; None if the text is readable."""
    if match := _DAMAGE.search(text):
        return f"{match.group()!a} at character {match.start()}"
    share = unreadable_share(text)
    return f"{share:.2f} unreadable > {MAX_UNREADABLE}" if share > MAX_UNREADABLE else None


def unreadable_share(text: str) -> float:
    """Share of a text's characters in strings that can't be words, without code and URLs, in [0, 1]."""
    prose = strip_code(text)
    strings = Counter(_STRING.findall(prose))
    unreadable = sum(len(string) * count for string, count in strings.items() if len(string) > _LONGEST_WORD or _is_no_word(string))
    return unreadable / len(prose) if unreadable else 0.0


@lru_cache(maxsize=2**16)  # texts have most of their words in common
def _is_no_word(string: str) -> bool:
    return _NO_WORD.search(string) is not None
