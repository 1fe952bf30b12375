"""The supported languages, the detection of a text's language, and the share of a text in other scripts.

To add a language: a row in `LANGUAGES`, its phrase files (`phrases/*.XX.txt`), its prompts and seeds, and its code in
`config.section.Language`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from lengthen.common.text.markdown import strip_code


class Traits(NamedTuple):
    """The properties that differ by language."""

    script: str  # a name of `_SCRIPTS`
    ngram: int  # units in the n-grams of the repetition check; the paper's n
    leak: int  # words (zh: characters) of the prompt that do not occur in an answer by chance
    ends: str  # punctuation that ends a sentence
    dangling: frozenset[str]  # words that another one must follow


_DANGLING = (
    "a although an and as at because but by for from if in into its my nor of on or our than that the their to unless whose with your"
)
_DANGLING_ZH = "和 与 或 及 以及 因为 但是 而且 并且 对于 关于 通过 如果 虽然 为了 把 被 将 从 向 比如 例如 包括"

LANGUAGES = {
    "en": Traits("latin", ngram=10, leak=6, ends=".!?…", dangling=frozenset(_DANGLING.split())),
    "zh": Traits(
        "han",
        ngram=13,
        leak=10,
        ends="。！？…!?.．～",
        dangling=frozenset(_DANGLING_ZH.split()),
    ),
}

_SCRIPTS = {
    "latin": "[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]+",
    "han": "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]",
    "kana": "[\u3041-\u30fa\u31f0-\u31ff]",
    "hangul": "[\uac00-\ud7af\u1100-\u11ff]",
    "cyrillic": "[\u0400-\u052f]+",
    "greek": "[\u0370-\u03ff\u1f00-\u1fff]+",
}
_SYMBOLS = "\u00aa\u00b2\u00b3\u00b9\u00ba\u2070-\u209c\u2100-\u214f\U0001d400-\U0001d7ff"  # letters and digits of formulas
_LETTER = "[A-Za-z\u00c0-\u03ff]"
_LATIN_WORD = re.compile(_SCRIPTS["latin"])
_UNITS = {name: re.compile(pattern) for name, pattern in _SCRIPTS.items()} | {
    # A single letter is a variable, but for a, A and I.
    "latin": re.compile(rf"{_SCRIPTS['latin'][:-1]}{{2,}}|(?<!{_LETTER})[aAI](?!{_LETTER})"),
    "greek": re.compile(_SCRIPTS["greek"][:-1] + "{2,}"),
}
_ASCII = re.compile(r"[\x00-\x7f]+")
_OTHER = re.compile(r"[^\W\d_" + "".join(pattern.rstrip("+")[1:-1] for pattern in _SCRIPTS.values()) + _SYMBOLS + "]")

# The most common words of languages with Latin letters, to distinguish English from the others.
_FUNCTION_WORDS = {
    "en": "the of and to in a is that it was for on are as with his they at be this from have or by one had not but what all were when we",
    "fr": "le la les de des du et est un une que qui dans pour pas ce au sur il elle sont avec vous nous ne se plus par mais aux",
    "de": "der die das und ist nicht ein eine zu den von mit sich auf für dem im es sie ich auch als wie wird an aus bei werden oder",
    "es": "el la los las de y que en un una es por con para no se su del al lo como más pero sus le ya este está son",
    "it": "il la di che e un una per non in del della i le con si da sono è gli dei alla nel più anche come ma questo dal",
    "pt": "o a os as de que e do da em um uma para com não se por mais dos das no na como ao foi ele seu sua são",
    "nl": "de het een en van is dat niet op te voor met zijn die aan er ook als bij maar om dan naar door wordt deze worden",
}
_VOCABULARY = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}
_LANGUAGE_OF_SCRIPT = {"han": "zh", "kana": "ja", "hangul": "ko", "cyrillic": "ru", "greek": "el"}

_MIN_SCRIPT_SHARE = 0.6  # of a text's units in its main script
_MIN_KANA_SHARE = 0.1  # of Chinese characters and kana: above it, the text is Japanese
_MIN_FUNCTION_SHARE = 0.12  # English novels have 0.24 to 0.47 of the English ones, and up to 0.09 of another language's
_MIN_FUNCTION_WORDS = 3  # different ones, so that a single word does not decide about a short text
_MIN_LEAD = 1.5  # times the share of the second language


def detect(text: str) -> str | None:
    """The language of a text as an ISO 639-1 code ("en", "zh", "fr", …), or None if it is not clear.

    It prefers None to a wrong answer: a list of names, a short line or invented words give None.
    """
    likely = most_likely_language(text)
    return likely[0] if likely else None


def most_likely_language(text: str, counts: Counter[str] | None = None) -> tuple[str, float] | None:
    """The result of `detect` with its share: of the text's units in the language's script or, for Latin letters, of the words
    that are function words of the language. `counts` are the text's `script_units`, if known.
    """
    counts = script_units(text) if counts is None else counts
    total = counts.total()
    east = counts["han"] + counts["kana"]
    if total and counts["kana"] > _MIN_KANA_SHARE * east and east >= _MIN_SCRIPT_SHARE * total:
        return "ja", east / total
    script, most = max(counts.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    if not total or most < _MIN_SCRIPT_SHARE * total:
        return None
    if script == "latin":
        return _by_function_words(text)
    return (_LANGUAGE_OF_SCRIPT[script], most / total) if script in _LANGUAGE_OF_SCRIPT else None


def foreign_share(counts: Counter[str], language: str) -> float:
    """Code-switching: the share of a text's `script_units` in another script than the language's, in [0, 1]."""
    return 1 - counts[LANGUAGES[language].script] / counts.total() if counts.total() else 0.0


def script_units(text: str) -> Counter[str]:
    """The number of a text's units by script. A unit is a word of an alphabet, or one Chinese character, kana or Hangul
    syllable. Code, formulas, variables of one letter, URLs, digits and punctuation are not counted.
    """
    prose = strip_code(text)
    rest = _ASCII.sub(" ", prose)  # what can have units of other scripts: little of most texts
    counts = Counter(latin=len(_UNITS["latin"].findall(prose)))
    if not rest.isspace():
        counts |= {name: len(unit.findall(rest)) for name, unit in _UNITS.items() if name != "latin"}
        counts["other"] = len(_OTHER.findall(rest))
    return +counts  # without scripts of count 0


def _by_function_words(text: str) -> tuple[str, float] | None:
    words = Counter(_LATIN_WORD.findall(strip_code(text).lower()))
    total = words.total()
    shares = {language: sum(map(words.__getitem__, known & words.keys())) / total for language, known in _VOCABULARY.items()}
    (first, share), (_, next_share) = sorted(shares.items(), key=lambda item: -item[1])[:2]
    clear = (
        share >= _MIN_FUNCTION_SHARE and share > _MIN_LEAD * next_share and len(_VOCABULARY[first] & words.keys()) >= _MIN_FUNCTION_WORDS
    )
    return (first, share) if clear else None
