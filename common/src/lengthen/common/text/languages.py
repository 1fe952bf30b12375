"""The languages that texts are made in, as one table; which language a text is in; how much of it is in another script.

Adding a language: a row in `LANGUAGES`, its phrase files beside this one (`phrases/*.XX.txt`), its prompts and seeds, and
its code in `config.Language`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from lengthen.common.text.markdown import prose


class Traits(NamedTuple):
    """What differs by language."""

    name: str
    script: str  # a name of `_SCRIPTS`
    ngram: int  # units of an n-gram that counts as repeated; the paper's n
    leak: int  # words (zh: characters) of the prompt that can't stand in an answer by chance
    ends: str  # marks that end a sentence
    dangling: frozenset[str]  # words that no list item ends with; none in Chinese, where each ends many a word


_DANGLING = "a an and as at because but by for from in into its my nor of on or our than that the their to whose with your"

LANGUAGES = {
    "en": Traits("English", "latin", ngram=10, leak=6, ends=".!?…", dangling=frozenset(_DANGLING.split())),
    "zh": Traits("Chinese", "han", ngram=13, leak=10, ends="。！？…!?.．～", dangling=frozenset()),
}

_SCRIPTS = {
    "latin": "[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]+",
    "han": "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]",
    "kana": "[\u3041-\u30fa\u31f0-\u31ff]",
    "hangul": "[\uac00-\ud7af\u1100-\u11ff]",
    "cyrillic": "[\u0400-\u052f]+",
}
_UNITS = {name: re.compile(pattern) for name, pattern in _SCRIPTS.items()}
_OTHER = re.compile(r"[^\W\d_" + "".join(pattern.rstrip("+")[1:-1] for pattern in _SCRIPTS.values()) + "]")

# The commonest words of languages in Latin letters. Those of other languages are here so that English can be told from them.
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
_LANGUAGE_OF_SCRIPT = {"han": "zh", "kana": "ja", "hangul": "ko", "cyrillic": "ru"}

_MAIN = 0.6  # share of a text's units that its own script has at least
_KANA = 0.1  # share of kana that makes Chinese characters Japanese
_FUNCTION_SHARE = 0.12  # pages of English novels have 0.24 to 0.47 of the English ones, and up to 0.09 of another language's
_DIFFERENT = 3  # function words at least, so that no single one decides about a short text
_CLEAR = 1.5  # times the share of the next language


def detect(text: str) -> str | None:
    """The language of a text as an ISO 639-1 code ("en", "zh", "fr", …), or None when that is not clear.

    Made to be right when it says something: a list of names, a short line or invented words are None.
    """
    found = likeliest(text)
    return found[0] if found else None


def likeliest(text: str, counts: Counter[str] | None = None) -> tuple[str, float] | None:
    """What `detect` says, with the share that says so: of the text's units in that script, or of the words that are
    function words of that language where several share the Latin script. `counts` are its `script_units`, if known.
    """
    counts = script_units(text) if counts is None else counts
    total = counts.total()
    east = counts["han"] + counts["kana"]
    if total and counts["kana"] > _KANA * east and east >= _MAIN * total:
        return "ja", east / total
    script, most = max(counts.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    if not total or most < _MAIN * total:
        return None
    if script == "latin":
        return _by_function_words(text)
    return (_LANGUAGE_OF_SCRIPT[script], most / total) if script in _LANGUAGE_OF_SCRIPT else None


def foreign_share(counts: Counter[str], language: str) -> float:
    """Code-switching: the share of a text's `script_units` in another script than the language's, in [0, 1]."""
    return 1 - counts[LANGUAGES[language].script] / counts.total() if counts.total() else 0.0


def script_units(text: str) -> Counter[str]:
    """How many units of each script a text has: a unit is a word of an alphabet or one Chinese character, kana or Hangul
    syllable. Code, addresses, digits and marks are no language and don't count.
    """
    read = prose(text)
    counts = Counter({name: len(unit.findall(read)) for name, unit in _UNITS.items()})
    return counts + Counter(other=len(_OTHER.findall(read)))  # without the scripts that don't occur


def _by_function_words(text: str) -> tuple[str, float] | None:
    words = Counter(_UNITS["latin"].findall(prose(text).lower()))
    total = words.total()
    shares = {language: sum(words[word] for word in known) / total for language, known in _VOCABULARY.items()}
    (first, share), (_, next_share) = sorted(shares.items(), key=lambda item: -item[1])[:2]
    clear = share >= _FUNCTION_SHARE and share > _CLEAR * next_share and len(_VOCABULARY[first] & words.keys()) >= _DIFFERENT
    return (first, share) if clear else None
