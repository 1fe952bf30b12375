"""The expressions in Argo's manifests: the subset that the examples in its documentation use.

expr-lang in `{{=…}}` and in retry strategies, govaluate in `when`, and the conditions in `depends`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|'([^']*)'|\"([^\"]*)\"|([A-Za-z_][\w-]*)|(\|\||&&|==|!=|<=|>=|=~|[-+*/%<>!?:()\[\],.]))")
_WORDS = {"or": "||", "and": "&&", "not": "!"}
_BINARY: list[dict[str, Callable[[Any, Any], Any]]] = [
    {"||": lambda a, b: a or b},
    {"&&": lambda a, b: a and b},
    {
        "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "in": lambda a, b: a in b,
        "matches": lambda a, b: re.search(b, a) is not None, "=~": lambda a, b: re.search(b, a) is not None,
    },
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {"*": lambda a, b: a * b, "/": lambda a, b: a / b, "%": lambda a, b: a % b},
]  # fmt: skip
FUNCTIONS: dict[str, Callable[..., Any]] = {"asInt": int, "asFloat": float, "string": str, "len": len}
PHASES = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")


def evaluate(text: str, names: Callable[[str], Any]) -> Any:
    """The value of an expression. `names` gives the value of a dotted name.

    Raises:
        ValueError: the text is not an expression of this language.
    """
    parser = _Parser(text, names)
    value = parser.ternary()
    if parser.kind:
        raise ValueError(f"{text!r}: {parser.value!r} is not expected at the end")
    return value


def when(text: str) -> bool:
    """The value of a `when` after substitution of its parameters. A bare word is a string, as in `heads == heads`."""
    return str(evaluate(text, lambda name: {"true": True, "false": False}.get(name, name))).lower() == "true"


def depends(text: str, results: Callable[[str], set[str]]) -> bool:
    """Whether a task may start. `results` gives the results of a finished task, such as {Succeeded, AnySucceeded}."""

    def answer(match: re.Match[str]) -> str:
        wanted = {match[2]} if match[2] else {"Succeeded", "Skipped", "Daemoned"}
        return "true" if wanted & results(match[1]) else "false"

    return when(re.sub(rf"([A-Za-z_][\w-]*)(?:\.({'|'.join(PHASES)}))?", answer, text))


def tasks_in(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_][\w-]*", re.sub(r"\.\w+", "", text)))


class _Parser:
    def __init__(self, text: str, names: Callable[[str], Any]) -> None:
        self.text, self.names, self.position = text, names, 0
        self.advance()

    def advance(self) -> None:
        match = _TOKEN.match(self.text, self.position)
        if not match:
            if self.text[self.position :].strip():
                raise ValueError(f"{self.text!r}: {self.text[self.position :]!r} is not an expression")
            self.kind, self.value = "", ""
            return
        self.position = match.end()
        number, single, double, name, operator = match.groups()
        if number is not None:
            self.kind, self.value = "number", number
        elif single is not None or double is not None:
            self.kind, self.value = "string", single if single is not None else double
        elif name is not None and name not in (*_WORDS, "in", "matches"):
            self.kind, self.value = "name", name
        else:
            self.kind, self.value = "operator", _WORDS.get(name or "", name or operator)

    def take(self, operator: str) -> bool:
        if self.kind == "operator" and self.value == operator:
            self.advance()
            return True
        return False

    def need(self, operator: str) -> None:
        if not self.take(operator):
            raise ValueError(f"{self.text!r}: {operator!r} is missing before {self.value!r}")

    def ternary(self) -> Any:
        condition = self.binary(0)
        if not self.take("?"):
            return condition
        yes = self.ternary()
        self.need(":")
        no = self.ternary()
        return yes if condition else no

    def binary(self, level: int) -> Any:
        if level == len(_BINARY):
            return self.unary()
        left = self.binary(level + 1)
        while self.kind == "operator" and self.value in _BINARY[level]:
            operation = _BINARY[level][self.value]
            self.advance()
            left = operation(left, self.binary(level + 1))
        return left

    def unary(self) -> Any:
        if self.take("!"):
            return not self.unary()
        if self.take("-"):
            return -self.unary()
        return self.atom()

    def atom(self) -> Any:
        kind, value = self.kind, self.value
        if self.take("("):
            inner = self.ternary()
            self.need(")")
            return inner
        if self.take("["):
            return self.several("]")
        self.advance()
        if kind == "number":
            return float(value) if "." in value else int(value)
        if kind == "string":
            return value
        if kind != "name":
            raise ValueError(f"{self.text!r}: {value!r} is not expected")
        return self.named(value)

    def named(self, name: str) -> Any:
        if name in FUNCTIONS and self.take("("):
            return FUNCTIONS[name](*self.several(")"))
        while True:
            if self.take("."):
                name += f".{self.value}"
                self.advance()
            elif self.take("["):
                name += f".{self.value}"
                self.advance()
                self.need("]")
            else:
                return self.names(name)

    def several(self, end: str) -> list[Any]:
        found = []
        while not self.take(end):
            found.append(self.ternary())
            if not self.take(","):
                self.need(end)
                break
        return found
