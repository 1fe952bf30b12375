"""How much of a draft its expansion retains: the shares of the draft's headings, and of its names and numbers.

A heuristic without a model, the same for every row, so that runs can be compared. None for a draft that has none of them.
"""

from __future__ import annotations

import re

from lengthen.common.text.words import units

_HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t]+(?P<hash>.+?)[ \t#]*$"  # Markdown
    r"|^(?:\d+[.)、][ \t]*)?\*\*(?P<bold>[^*\n]+)\*\*[ \t]*[:：]?$"  # a line in bold
    r"|^(?P<chinese>第[一二三四五六七八九十百\d]+[章节回部篇][^。！？\n]{0,30}|[一二三四五六七八九十]+、[^。！？\n]{1,30})$",
    re.MULTILINE,
)
_NUMBERING = re.compile(r"^(?:第[一二三四五六七八九十百\d]+[章节回部篇]|[一二三四五六七八九十]+、|\d+(?:\.\d+)*[.)、]?)\s*")
_NUMBER = r"(?<![A-Za-z\d])\d[\d.,:/]*\d%?(?![A-Za-z\d])"  # of two digits or more: single digits number lists
_CAPITALISED = r"[A-Z][\w’'-]+"
_NAMES = {
    # Two capitalised words or more in a row, "of" and "the" between them: New York, Bank of England.
    "en": re.compile(rf"{_CAPITALISED}(?: (?:(?:of|the|de|van|von|and) ){{0,2}}{_CAPITALISED})+|{_NUMBER}"),
    # Titles and quoted terms. Other Chinese names cannot be recognised by their characters.
    "zh": re.compile(rf"(?<=《)[^《》\n]+(?=》)|(?<=「)[^「」\n]{{1,20}}(?=」)|(?<=“)[^“”\n]{{1,12}}(?=”)|{_NUMBER}"),
}
_ARTICLE = re.compile(r"^(?:The|A|An|In|On|At|For|But|And|When|While|As|By|From|With) ")


def kept_headings(draft: str, text: str) -> float | None:
    """Share of the draft's headings that are headings of the text, in the same order; in [0, 1]."""
    before, after = headings(draft), headings(text)
    return _common_subsequence(before, after) / len(before) if before else None


def kept_names(draft: str, text: str, language: str) -> float | None:
    """Share of the draft's names and numbers, each counted once, that occur anywhere in the text; in [0, 1]."""
    found, whole = names(draft, language), " ".join(units(text))
    return sum(" ".join(units(name)) in whole for name in found) / len(found) if found else None


def headings(text: str) -> list[str]:
    """The headings of a text in lower case, without numbering and Markdown."""
    found = (next(filter(None, match.groups())) for match in _HEADING.finditer(text))
    return [" ".join(re.findall(r"\w+", _NUMBERING.sub("", title.strip("* ")).lower())) for title in found]


def names(text: str, language: str) -> set[str]:
    """The names and numbers of a text. At the beginning of a sentence an article or preposition is not part of the name."""
    found = {_ARTICLE.sub("", match) for match in _NAMES[language].findall(text)}
    return {name for name in found if language != "en" or " " in name or name[0].isdigit()}


def _common_subsequence(before: list[str], after: list[str]) -> int:
    """The length of the longest common subsequence."""
    best = [0] * (len(after) + 1)
    for title in before:
        row = [0]
        for at, other in enumerate(after):
            row.append(best[at] + 1 if title == other else max(best[at + 1], row[at]))
        best = row
    return best[-1]
