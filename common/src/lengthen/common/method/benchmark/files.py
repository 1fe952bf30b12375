"""Read benchmark prompts: the built-in file, or one of the user's. Evaluate uses them; augment avoids similar instructions.

Each line is a JSON object. The key of the prompt depends on the benchmark: `prompt` (LongBench-Write and the built-in one),
`query` (LonGen) or `instruction`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from lengthen.common.process.errors import UserError
from lengthen.common.text.digest import text_digest

BUILTIN = "builtin"
_PROMPT_KEYS = ("prompt", "query", "instruction")


@dataclass(frozen=True)
class BenchmarkFile:
    """A benchmark's name, its text (JSON lines), and its path for messages."""

    name: str
    text: str
    where: str

    @property
    def digest(self) -> str:
        return text_digest(self.text)

    def lines(self) -> list[tuple[str, str]]:
        """(location for messages, line) of every line that is not empty.

        Raises:
            UserError: there is none.
        """
        lines = [(f"{self.where}, line {n}", line) for n, line in enumerate(self.text.splitlines(), start=1) if line.strip()]
        if not lines:
            raise UserError(f"{self.where} has no prompts; give a file with one JSON object per line")
        return lines

    def prompts(self) -> list[tuple[str, str]]:
        """(id, text) of every prompt. Ids are `NAME/ID`, or `NAME/LINE` where a line has no id.

        Raises:
            UserError: a line is not a JSON object with a prompt.
        """
        return [self._prompt(where, line) for where, line in self.lines()]

    def _prompt(self, where: str, line: str) -> tuple[str, str]:
        try:
            raw = json.loads(line)
        except ValueError as error:
            raise UserError(f"{where} is not a valid JSON object") from error
        texts = [raw[key] for key in _PROMPT_KEYS if isinstance(raw.get(key), str)] if isinstance(raw, dict) else []
        if not texts:
            raise UserError(f"{where}: no prompt found; add one of the keys {', '.join(_PROMPT_KEYS)}")
        number = where.rsplit(" ", 1)[-1]
        return f"{self.name}/{raw.get('id', number)}", texts[0]


def benchmarks_digest(benchmarks: list[BenchmarkFile]) -> str:
    """One digest of several benchmarks, independent of their order."""
    return text_digest("\n".join(sorted({benchmark.digest for benchmark in benchmarks})))


def read_benchmark(file: Path | None) -> BenchmarkFile:
    """A benchmark file; None: the built-in one.

    Raises:
        UserError: the file can't be read.
    """
    if file is None:
        name = f"{BUILTIN}.jsonl"
        return BenchmarkFile(BUILTIN, (resources.files("lengthen.common.method.benchmark") / name).read_text(encoding="utf-8"), name)
    try:
        return BenchmarkFile(file.stem, file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--benchmark {file} can't be read: {error}") from error
