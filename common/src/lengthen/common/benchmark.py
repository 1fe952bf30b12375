"""Benchmark prompts as text: the built-in file, or the user's. Evaluate asks them; augment keeps clear of them.

One JSON object a line. Which of its keys holds the prompt differs from benchmark to benchmark: `prompt` (LongBench-Write,
ours), `query` (LonGen) or `instruction`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from lengthen.common.errors import UserError
from lengthen.common.ids import text_digest

BUILTIN = "builtin"
_PROMPT_KEYS = ("prompt", "query", "instruction")


@dataclass(frozen=True)
class BenchmarkFile:
    """A benchmark's name, its lines, and what to call it in a message."""

    name: str
    text: str
    where: str

    @property
    def digest(self) -> str:
        return text_digest(self.text)

    def lines(self) -> list[tuple[str, str]]:
        """(where it stands, the line) of every line that isn't empty.

        Raises:
            UserError: there is none.
        """
        found = [(f"{self.where}, line {n}", line) for n, line in enumerate(self.text.splitlines(), start=1) if line.strip()]
        if not found:
            raise UserError(f"{self.where} holds no prompts")
        return found

    def prompts(self) -> list[tuple[str, str]]:
        """(id, text) of every prompt; `NAME-LINE` where a line has no id.

        Raises:
            UserError: a line that is no JSON object with a prompt in it.
        """
        return [self._prompt(where, line) for where, line in self.lines()]

    def _prompt(self, where: str, line: str) -> tuple[str, str]:
        try:
            raw = json.loads(line)
        except ValueError as error:
            raise UserError(f"{where} is no JSON object") from error
        texts = [raw[key] for key in _PROMPT_KEYS if isinstance(raw.get(key), str)] if isinstance(raw, dict) else []
        if not texts:
            raise UserError(f"{where}: no prompt; a line needs one of the keys {', '.join(_PROMPT_KEYS)}")
        number = where.rsplit(" ", 1)[-1]
        return f"{self.name}/{raw.get('id', number)}", texts[0]


def read_benchmark(file: Path | None) -> BenchmarkFile:
    """The user's file; None: the built-in one.

    Raises:
        UserError: the file can't be read.
    """
    if file is None:
        name = f"benchmarks/{BUILTIN}.jsonl"
        return BenchmarkFile(BUILTIN, (resources.files("lengthen.common") / name).read_text(encoding="utf-8"), name)
    try:
        return BenchmarkFile(file.stem, file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--benchmark {file} can't be read: {error}") from error
