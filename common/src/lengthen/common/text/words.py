"""Word counts as the two benchmarks define them, and the units of n-grams."""

from __future__ import annotations

import re
from functools import lru_cache

# LonGen: ideographs, CJK symbols and punctuation, half- and full-width forms.
_CJK = "\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
_LATIN_RUN = re.compile(r"\b[a-zA-Z]+\b")
_LONGEST_UNIT = 256  # characters; limits the buffer for streamed text without white space
_UNIT = re.compile(rf"[{_CJK}]|[^\s{_CJK}]{{1,{_LONGEST_UNIT}}}")


@lru_cache(maxsize=4)  # the check, the cut and the column of a text need it
def count_words(text: str) -> int:
    """LonGen's count: CJK characters + whitespace-separated words of the rest.

    CJK characters are the ideographs U+4E00 to U+9FFF and U+3400 to U+4DBF (extension A), the punctuation U+3000 to U+303F, and the
    full-width forms U+FF00 to U+FFEF. Other ideographs (extension B and later, U+20000 and up; compatibility, U+F900 to U+FAFF),
    kana and Hangul count like letters: a run of them is one word.
    """
    cjk = len(_CJK_CHARACTER.findall(text))
    return cjk + len(_CJK_CHARACTER.sub(" ", text).split())


def count_words_latin_runs(text: str) -> int:
    """LongBench-Write's count: CJK ideographs + runs of Latin letters. On Chinese it differs from the other by up to 1.4 times."""
    return len(_IDEOGRAPH.findall(text)) + len(_LATIN_RUN.findall(text))


def units(text: str) -> list[str]:
    """The units of n-grams, in lower case: CJK characters, and runs of other characters without white space."""
    return _UNIT.findall(text.casefold())  # not lower(), whose result for a letter depends on the next letters


def complete_units(text: str) -> tuple[list[str], str]:
    """The units of an incomplete text, without the last one if more text could lengthen it; and that rest."""
    folded = text.casefold()
    found = _UNIT.findall(folded)
    rest = ""
    if found and folded.endswith(found[-1]) and len(found[-1]) < _LONGEST_UNIT and not _CJK_CHARACTER.match(found[-1]):
        rest = found.pop()
    return found, rest
