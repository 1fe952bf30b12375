"""The parts of a language's prompts that the code uses: the label of a list item, and the judge's yes and no.

They are in `prompts/wording.LANGUAGE.json`:

    {"item": "Instruction $number:", "yes": ["Yes", "yes"], "no": ["No", "no"]}

An item ends only where the next one begins: it may have several lines, blank lines and lists of its own. After examples of one line
it also ends at a blank line: small models go on with an answer there.
"""

from __future__ import annotations

import json
import re
from importlib import resources

from lengthen.common.method.prompt_file import PromptFile
from lengthen.common.process.errors import UserError

_QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』"}
_MARKS = r"[ \t>*_#【\[（(]*"  # Markdown and brackets around a label: "**Instruction 4:**", "## 指令 4", "【指令4】"
_NUMBER = r"(?:\d+(?: ?[-–—] ?\d+)?|[一二三四五六七八九十]+)"  # "Instructions 4-5:" occurs too
_CLOSE = r"[.:)、．：）】\]]"  # what closes the number of a label
_AFTER_SENTENCE = r"(?:(?<=[.!?…。！？])|(?<=[.!?…。！？][\"'”’」』)）])|(?<=[.!?…。！？]\*\*))"
_BLANK_LINE = re.compile(r"\S(?=[ \t]*\n[ \t]*\n)")  # the end of the first paragraph
_LAST_MARKS = re.compile(r"(?:\n[-*_=#> ]*)+\Z")  # blank lines and lines of marks, such as "---" between two items


class Wording:
    """The wording of one language. `yes` and `no` are lists of spellings."""

    def __init__(self, text: str, name: str) -> None:
        try:
            raw = json.loads(text)
            self.yes, self.no = [str(word) for word in raw["yes"]], [str(word) for word in raw["no"]]
            self._item = PromptFile(raw["item"], {"number"}, name)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{name}: not a JSON object with item, yes and no ({error})") from error
        self._label = re.compile(_label_pattern(raw["item"].partition("$number")[0].strip()), re.IGNORECASE)

    def item(self, number: int) -> str:
        """The label of an item, such as `Instruction 3:`."""
        return self._item.fill(number=str(number))

    def has_next_item(self, text: str, *, one_paragraph: bool = False) -> bool:
        """Whether the text reaches the label of the next item, or with `one_paragraph` a blank line."""
        return self._end(f"\n{text.lstrip()}", one_paragraph) is not None

    def first_item(self, text: str, *, one_paragraph: bool = False) -> str:
        """The first item of the model's text, with its lines, without surrounding quotation marks."""
        text = f"\n{text.strip()}\n"
        lines = text[: self._end(text, one_paragraph)].strip().splitlines()
        item = _LAST_MARKS.sub("", "\n".join(line.rstrip() for line in lines))
        item = re.sub(r"\n{3,}", "\n\n", item)
        quoted = len(item) > 1 and _QUOTES.get(item[0]) == item[-1] and item[-1] not in item[1:-1]
        return item[1:-1].strip() if quoted else item

    def _end(self, text: str, one_paragraph: bool) -> int | None:
        blank = _BLANK_LINE.search(text) if one_paragraph else None
        label = self._next_label(text)
        return min((end for end in (label, blank and blank.end()) if end is not None), default=None)

    def _next_label(self, text: str) -> int | None:
        """The position of the next item's label; None without one. `text` begins with a newline."""
        for match in self._label.finditer(text):
            number = match.groupdict().get("bare")
            if number is None or not _continues_list(text[: match.start()], int(number)):
                return match.start()
        return None


def _label_pattern(label: str) -> str:
    """A pattern of an item's label.

    At the beginning of a line it may have marks around it, and may be the whole line ("## Instruction 4"). Small models also
    write "Instructions 4:", and continue on the same line. There a colon follows the number, or the end of a sentence comes
    before the label: an instruction may speak of "instruction 4". They also omit the word: then the group `bare` is the number.
    """
    if not label:
        return rf"\n{_MARKS}{_NUMBER}{_MARKS}{_CLOSE}"
    numbered = rf"{_MARKS}{re.escape(label)}s?{_MARKS}{_NUMBER}{_MARKS}"
    with_word = rf"\n{numbered}(?:{_CLOSE}| [-–—]|\n)|{_AFTER_SENTENCE}\s*{numbered}{_CLOSE}|\s{numbered}[:：]"
    return rf"{with_word}|\n{_MARKS}(?P<bare>\d{{1,2}}){_CLOSE}(?=\D)"


def _continues_list(before: str, number: int) -> bool:
    """Whether a bare number belongs to a list within the item: it is the first one, or the one before it begins a line too."""
    return number <= 1 or re.search(rf"\n{_MARKS}{number - 1}{_CLOSE}", before) is not None


def load_wording(language: str) -> Wording:
    name = f"prompts/wording.{language}.json"
    return Wording((resources.files("lengthen.augment") / name).read_text(encoding="utf-8"), name)
