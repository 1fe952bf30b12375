"""The parts of a language's prompts that the code uses: the label of a list item, and the judge's yes and no.

They are in `prompts/wording.LANGUAGE.json`:

    {"item": "Instruction $number:", "yes": ["Yes", "yes"], "no": ["No", "no"]}
"""

from __future__ import annotations

import json
import re
from importlib import resources

from lengthen.common.method.prompt_file import PromptFile
from lengthen.common.process.errors import UserError

_QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』"}
_NUMBERED = r"\d+\s*[.:)、．：）]"


class Wording:
    """The wording of one language. `yes` and `no` are lists of spellings."""

    def __init__(self, text: str, name: str) -> None:
        try:
            raw = json.loads(text)
            self.yes, self.no = [str(word) for word in raw["yes"]], [str(word) for word in raw["no"]]
            self._item = PromptFile(raw["item"], {"number"}, name)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{name}: not a JSON object with item, yes and no ({error})") from error
        label = re.escape(raw["item"].partition("$number")[0].strip())
        # A small model also writes "Instructions 4:", and continues on the same line.
        labelled = rf"\s{label}s?\s*{_NUMBERED}|" if label else ""
        self._next = re.compile(rf"{labelled}\n\s*{_NUMBERED}|\n\s*\n", re.IGNORECASE)

    def item(self, number: int) -> str:
        """The label of an item, such as `Instruction 3:`."""
        return self._item.fill(number=str(number))

    def has_next_item(self, text: str) -> bool:
        """Whether the text reaches the next item of the list."""
        return self._next.search(text.lstrip()) is not None

    def first_item(self, text: str) -> str:
        """The first item of the model's text, on one line, without surrounding quotation marks."""
        item = " ".join(self._next.split(text.strip(), maxsplit=1)[0].split())
        return item[1:-1].strip() if len(item) > 1 and _QUOTES.get(item[0]) == item[-1] else item


def load_wording(language: str) -> Wording:
    name = f"prompts/wording.{language}.json"
    return Wording((resources.files("lengthen.augment") / name).read_text(encoding="utf-8"), name)
