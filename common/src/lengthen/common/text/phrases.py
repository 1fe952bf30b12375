"""Phrases that betray a text, by language: talk about it, a refusal to write it, words of the prompt.

The phrases are patterns in `phrases/KIND.LANGUAGE.txt`, one a line.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from lengthen.common.text.languages import LANGUAGES

EDGE = 500  # characters at each end in which meta talk is looked for; inside a text the phrases can be its subject
_PLACE = re.compile(r"\$\{?\w+\}?")
_WORD = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3400-\u4dbf\u4e00-\u9fff]+(?:'\w+)?")


def meta_talk(text: str, language: str) -> str | None:
    """Talk about the text instead of the text, at its beginning or end; an instruction that the model invented, too."""
    for edge in (text[:EDGE], text[-EDGE:]):
        if match := patterns("meta_talk", language).search(_plain(edge)):
            return match.group()
    return None


def refused(text: str, language: str) -> str | None:
    """The words with which a text begins that refuses the instruction. A character of a story may say them elsewhere."""
    match = patterns("refused", language).match(_plain(text[:EDGE]).lstrip("#* \t\r\n"))
    return match.group() if match else None


def prompt_leak(text: str, prompt: str, language: str) -> str | None:
    """A run of the prompt template's own words in the text. What is filled in for `$name` doesn't count."""
    n = LANGUAGES[language].leak
    words = f" {_words(text)} "
    for part in _PLACE.split(prompt):
        told = _words(part).split()
        for start in range(len(told) - n + 1):
            if f" {(run := ' '.join(told[start : start + n]))} " in words:
                return run
    return None


@cache
def patterns(kind: str, language: str) -> re.Pattern[str]:
    """The patterns of a phrase file, as one. Blank lines and lines that begin with # are none."""
    lines = (resources.files("lengthen.common.text") / "phrases" / f"{kind}.{language}.txt").read_text(encoding="utf-8").splitlines()
    return re.compile("|".join(f"(?:{line})" for line in lines if line and not line.startswith("#")), re.IGNORECASE | re.MULTILINE)


def _plain(text: str) -> str:
    return text.replace("’", "'")


def _words(text: str) -> str:
    """The words (Chinese: characters) of a text, in lower case, with single spaces between them."""
    return " ".join(_WORD.findall(_plain(text).lower()))
