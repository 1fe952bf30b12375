"""Prompt templates: text files with `$name` variables, in the package data of the stage that uses them.

Substitution is a single pass, so a `$` or a brace in a value is not changed.
"""

from __future__ import annotations

from importlib import resources
from string import Template

from lengthen.common.process.errors import UserError


class PromptFile:
    """A prompt template with exactly the given variables.

    Raises:
        UserError: the text has an unknown variable, or lacks one.
    """

    def __init__(self, text: str, variables: set[str], name: str = "prompt") -> None:
        self.text = text.strip()
        self.template = Template(self.text)
        self.variables = frozenset(variables)
        try:
            used = set(self.template.get_identifiers())
            self.template.substitute(dict.fromkeys(used, ""))
        except ValueError as error:
            raise UserError(f"prompt {name}: {error}; write $$ for a dollar sign") from error
        if unknown := sorted(used - variables):
            raise UserError(f"prompt {name}: unknown variable ${', $'.join(unknown)}; known: ${', $'.join(sorted(variables))}")
        if unused := sorted(variables - used):
            raise UserError(f"prompt {name}: ${', $'.join(unused)} is missing in the text; add it")

    def fill(self, **values: str) -> str:
        return self.template.substitute(values)


def load_prompt(package: str, name: str, variables: set[str]) -> PromptFile:
    """The prompt file `prompts/NAME` of a package, such as ("lengthen.augment", "propose.en.txt").

    Raises:
        UserError: the file does not exist, or see `PromptFile`.
    """
    file = resources.files(package) / "prompts" / name
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{package} has no prompt file prompts/{name}") from error
    return PromptFile(text, variables, name)
