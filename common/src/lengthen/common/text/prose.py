"""The text in which repetition is counted, also while it is generated: without what may repeat.

Left out are code blocks, tables, formulas, the names of speakers at the beginning of lines, and refrains: short lines that return
after at least as much new text.
"""

from __future__ import annotations

import re
from functools import lru_cache

from lengthen.common.text.blocks import BlockReader, Kind, strip_formulas

_VERSE = 120  # characters of the longest line of a refrain
# A part is a line, or the next _VERSE characters of a longer one and the rest of the word or clause.
_PART = re.compile(rf"[^\n]{{0,{_VERSE}}}\n|[^\n]{{{_VERSE},{2 * _VERSE}}}?(?=[\s，。！？；])|[^\n]{{{2 * _VERSE}}}")

_NAME = r"(?:[A-ZÀ-Þ][\w.'’-]*(?: [\w.'’&#-]+){0,3}|[\u4e00-\u9fff·]{1,8})"
_MANNER = r"(?:\s*[(（\[【][^)）\]】\n]{0,60}[)）\]】])?"  # (whispering)
_SPEAKER = re.compile(rf"[\s>]*(?:[-•]\s)?[*_]{{0,3}}{_NAME}{_MANNER}[*_]{{0,3}}\s*[:：][*_]{{0,3}}{_MANNER}\s*")
_SPEAKER_ALONE = re.compile(rf"[\s>]*(?:[A-Z][A-Z.'’#\d -]{{0,30}}{_MANNER}|[*_]{{2,3}}{_NAME}{_MANNER}[*_]{{2,3}})\s*")

_ITEM = re.compile(r"[\s>]*(?:[-+*•#]+\s|\d+[.)、])")  # an item of a list or a heading; those are no verse
_REFRAIN = 600  # bytes of UTF-8 of the longest refrain: about 100 English words or 200 Chinese characters


class ProseReader:
    """Takes a text in pieces and gives its prose and its blocks (code, tables, formulas). The result does not depend on the pieces."""

    def __init__(self) -> None:
        self._blocks = BlockReader()
        self._rest = ""  # an incomplete part
        self._begins_line = True  # the next part
        self._after_speaker = False  # the last line was only a name
        self._lines: set[str] = set()
        self._new = 0  # bytes of new text that no refrain has followed yet, at most _REFRAIN

    def feed(self, piece: str) -> tuple[str, str]:
        """The prose and the blocks of the parts that are complete with the next piece."""
        text, parts, start = self._rest + piece, [], 0
        while match := _PART.match(text, start):
            parts.append(match.group())
            start = match.end()
        self._rest = text[start:]
        return self._split(parts)

    def finish(self) -> tuple[str, str]:
        """The prose and the blocks of the last part."""
        last, self._rest = self._rest, ""
        return self._split([last + "\n"] if last else [])

    def _split(self, parts: list[str]) -> tuple[str, str]:
        prose, blocks = [], []
        for part in parts:
            begins, self._begins_line = self._begins_line, part.endswith("\n")
            line = part.removesuffix("\n")
            kind = self._blocks.kind(line) if begins else self._blocks.rest(line)
            if kind is not Kind.PROSE:
                blocks.append(part)
                part = "\n"
            prose.append(part if part.isspace() else self._prose(part, begins))
        return "".join(prose), "".join(blocks)

    def _prose(self, part: str, begins_line: bool) -> str:
        text = strip_formulas(part)
        if not begins_line:
            self._is_refrain(text)
            return text
        text = self._without_speaker(text)
        return "\n" if self._is_refrain(text) else text

    def _without_speaker(self, line: str) -> str:
        """A line without the name of its speaker. A name after a name without speech is kept."""
        said = line
        if match := _SPEAKER.match(line):
            said = line[match.end() :]
        elif _SPEAKER_ALONE.fullmatch(line):
            said = ""
        after, self._after_speaker = self._after_speaker, not said.strip()
        if self._after_speaker and after:
            self._after_speaker = False
            return line
        return said or "\n"

    def _is_refrain(self, part: str) -> bool:
        """Whether a part is a line that returns after enough new text."""
        line = part.strip().casefold()
        size = len(line.encode(errors="replace"))
        if line in self._lines:
            if size > self._new or _ITEM.match(line):
                return False
            self._new -= size
            return True
        if part.endswith("\n") and len(line) <= _VERSE:
            self._lines.add(line)
        self._new = min(_REFRAIN, self._new + size)
        return False


@lru_cache(maxsize=4)  # several checks of a text need it
def prose(text: str) -> str:
    """The prose of a finished text."""
    reader = ProseReader()
    return reader.feed(text)[0] + reader.finish()[0]
