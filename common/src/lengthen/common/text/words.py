"""How long a text is, in the two ways that the benchmarks count, and the units that n-grams are made of."""

from __future__ import annotations

import re

# LonGen: ideographs, CJK symbols and punctuation, half- and full-width forms.
_CJK = "\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
_LATIN_RUN = re.compile(r"\b[a-zA-Z]+\b")
_LONGEST_UNIT = 256  # characters: bounds the work on text without white space while it is streamed
_UNIT = re.compile(rf"[{_CJK}]|[^\s{_CJK}]{{1,{_LONGEST_UNIT}}}")


def count_words(text: str) -> int:
    """LonGen's count: CJK characters (with their punctuation and full-width forms) + whitespace-separated words of the rest."""
    cjk = len(_CJK_CHARACTER.findall(text))
    return cjk + len(_CJK_CHARACTER.sub(" ", text).split())


def count_words_latin_runs(text: str) -> int:
    """LongBench-Write's count: CJK ideographs + runs of Latin letters. Up to 1.4 x off the other one on Chinese."""
    return len(_IDEOGRAPH.findall(text)) + len(_LATIN_RUN.findall(text))


def units(text: str) -> list[str]:
    """What n-grams are made of: a CJK character, or a run of anything else between white space, in lower case."""
    return [unit.lower() for unit in _UNIT.findall(text)]


def closed_units(text: str) -> tuple[list[str], str]:
    """The units of a beginning of a text, without the last one where more text could still lengthen it, and that rest."""
    found = _UNIT.findall(text)
    rest = ""
    if found and text.endswith(found[-1]) and len(found[-1]) < _LONGEST_UNIT and not _CJK_CHARACTER.match(found[-1]):
        rest = found.pop()
    return [unit.lower() for unit in found], rest
