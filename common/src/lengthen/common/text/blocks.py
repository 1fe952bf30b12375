"""Tell the prose of a Markdown text from its code blocks, formulas and tables, line by line.

A line's kind depends only on the line and those before it, so a text can be read while it is generated.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

_MARGIN = r"[\s>]*(?:(?:[-*+•]|\d{1,3}[.)])\s+)?"  # indentation, quotation marks, and the marker of a list item
_FENCE = re.compile(_MARGIN + r"(`{3,}(?!.*`)|~{3,})\s*(.*?)\s*$", re.DOTALL)
_MARKDOWN = re.compile(r"(?:markdown|mdx?)\b", re.IGNORECASE)  # the info of a code block that may contain others

_ENVIRONMENTS = "equation|align|gather|multline|eqnarray|alignat|flalign|split|aligned|gathered|cases|array|[pbvBV]?matrix"
_FORMULA = re.compile(
    r"\$\$[^$]+\$\$"
    r"|\$(?![\s$])(?!\d[\d,.]*\s)[^$]{1,300}?(?<![\s\\])\$(?![\d$])"  # not what is between two amounts of money
    r"|(?<!\\)\\\(.{1,400}?\\\)|(?<!\\)\\\[.{1,400}?\\\]"
    rf"|\\begin\{{({_ENVIRONMENTS})(\*?)\}}.*?\\end\{{\1\2\}}"
)
_OPENING = re.compile(rf"(?<![$\\])\$\$(?!\$)|(?<!\\)\\\[|\\begin\{{(?:{_ENVIRONMENTS})\*?\}}")
_LATEX = re.compile(r"[\\^_={]")
_WORD = re.compile(r"[^\W\d_]")

# Code without a fence, as far as a single line shows it.
_INDENTED_CODE = re.compile(r"(?: {4}|\t).*[{}=;<>\[\]]")
_CODE_BEGINS = (">>> ", "#include", "// ", "/* ", "}", "</")
_CODE_ENDS = ("{", "};", ");", "*/", "/>")

_TABLE_ROW = re.compile(r"[\s>]*(?:[|│┃║┌├└╔╠╚]|\+[-=]{2,})")
_TABLE_HEAD = re.compile(r"[\s>]*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)+\|?\s*$")  # of a table whose rows do not begin with a bar


class Kind(Enum):
    """What a line belongs to. A blank line outside of a block belongs to the prose."""

    PROSE = auto()
    CODE = auto()
    FORMULA = auto()
    TABLE = auto()


class _Block(NamedTuple):
    kind: Kind
    line: str  # that opened it
    close: str  # what closes it: the mark of a fence, or the end of a formula
    doubtful: bool = False  # a blank line shows that it is none
    info: str = ""  # the rest of the line, after the mark of a fence


class BlockReader:
    """Gives each line of a text its kind. It is given the lines in their order, without line breaks."""

    def __init__(self) -> None:
        self._open: list[_Block] = []  # the block that is not closed, and the one in it
        self._in_table = False

    @property
    def opened_by(self) -> str | None:
        """The line that opened the block that is not closed, without white space around it."""
        return self._open[0].line.strip() if self._open and not self._open[0].doubtful else None

    def kind(self, line: str) -> Kind:
        """The kind of the next line."""
        if self._open and self._open[-1].doubtful:
            block = self._open.pop()
            if line.strip():
                self._open.append(block._replace(doubtful=block.kind is Kind.FORMULA))
        if self._open:
            return self._in_block(line)
        self._in_table = "|" in line and (self._in_table or bool(_TABLE_HEAD.match(line)))
        if self._in_table or _TABLE_ROW.match(line):
            return Kind.TABLE
        if fence := _fence(line):
            self._open.append(fence)
            return Kind.CODE
        if line.startswith(_CODE_BEGINS) or line.endswith(_CODE_ENDS) or _INDENTED_CODE.match(line):
            return Kind.CODE
        return self._formula(line) if "$" in line or "\\" in line else Kind.PROSE

    def rest(self, part: str) -> Kind:
        """The kind of another part of a line whose beginning was given to `kind`."""
        if self._open:
            return self._in_block(part) if self._open[-1].kind is Kind.FORMULA else Kind.CODE
        return Kind.PROSE

    def _in_block(self, line: str) -> Kind:
        block = self._open[-1]
        if block.kind is Kind.FORMULA:
            if block.close in line:
                self._open.pop()
        elif fence := _fence(line):
            if not fence.info and fence.close.startswith(block.close):
                self._open.pop()
            elif fence.info and _MARKDOWN.match(block.info):
                self._open.append(fence)
        return block.kind

    def _formula(self, line: str) -> Kind:
        """The kind of a line outside of blocks that may have formulas."""
        bare = _FORMULA.sub("", line)
        if opening := _OPENING.search(bare):
            at_start = not _WORD.search(bare[: opening.start()])
            mark, after = opening.group(), bare[opening.end() :].strip()
            certain = mark.startswith("\\begin") or bool(_LATEX.search(after)) or (not after and (at_start or mark != "$$"))
            if certain or (mark == "$$" and (at_start or not after)):  # "$$" may also be a price class
                close = {"$$": "$$", "\\[": "\\]"}.get(mark) or mark.replace("begin", "end")
                self._open.append(_Block(Kind.FORMULA, line, close, doubtful=not certain))
                return Kind.FORMULA if at_start else Kind.PROSE
        return Kind.FORMULA if bare != line and not _WORD.search(bare) else Kind.PROSE


def _fence(line: str) -> _Block | None:
    """The code block that a line opens, or closes."""
    if not ("```" in line or "~~~" in line) or not (match := _FENCE.match(line)):
        return None
    mark, info = match.groups()
    scene_break = mark[0] == "~" and not info  # a row of tildes with a blank line below it separates scenes
    return _Block(Kind.CODE, line, mark, scene_break, info)


def kinds(text: str) -> list[tuple[Kind, str]]:
    """The lines of a text with their kinds. The list is shared: it must not be changed."""
    return _read(text)[0]


def open_block(text: str) -> str | None:
    """The line that opens a code block or formula that is never closed, without white space around it; None if all are closed."""
    return _read(text)[1]


@lru_cache(maxsize=4)  # several checks of a text need it
def _read(text: str) -> tuple[list[tuple[Kind, str]], str | None]:
    reader = BlockReader()
    return [(reader.kind(line), line) for line in text.split("\n")], reader.opened_by


def strip_formulas(line: str) -> str:
    """A line or a part of it without the formulas in it."""
    return _FORMULA.sub(" ", line) if "$" in line or "\\" in line else line
