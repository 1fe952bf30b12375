"""Prompt files: text with `$name` places, shipped as package data of the stage that uses them.

Templates are ours; what is filled in is data. Substitution is one pass, so a `$` or a brace in a row stays what it is.
"""

from __future__ import annotations

from importlib import resources
from string import Template

from lengthen.common.errors import UserError
from lengthen.common.ids import text_digest


class PromptFile:
    """A prompt template with exactly the named places.

    Raises:
        UserError: a place in the file that nothing fills, or a value that the file has no place for.
    """

    def __init__(self, text: str, variables: set[str], name: str = "prompt") -> None:
        self.text = text.strip()
        self.template = Template(self.text)
        self.digest, self.variables = text_digest(text), frozenset(variables)
        try:
            found = set(self.template.get_identifiers())
            self.template.substitute(dict.fromkeys(found, ""))
        except ValueError as error:
            raise UserError(f"prompt {name}: {error}; write $$ for a dollar sign") from error
        if unknown := sorted(found - variables):
            raise UserError(f"prompt {name}: unknown variable ${', $'.join(unknown)}; known: ${', $'.join(sorted(variables))}")
        if unused := sorted(variables - found):
            raise UserError(f"prompt {name}: ${', $'.join(unused)} is nowhere in the text")

    def fill(self, **values: str) -> str:
        return self.template.substitute(values)


def load_prompt(package: str, name: str, variables: set[str]) -> PromptFile:
    """The prompt file `prompts/NAME` of a package, such as ("lengthen.expand", "extend.en.txt")."""
    file = resources.files(package) / "prompts" / name
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{package} has no prompt file prompts/{name}") from error
    return PromptFile(text, variables, name)
