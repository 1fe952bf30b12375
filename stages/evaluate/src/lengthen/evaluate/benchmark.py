"""Benchmark prompts: the built-in ones, or a file in the same form, one JSON object a line.

    {"id": "en-01", "category": "…", "language": "en", "kind": "about", "length": 150, "prompt": "Write … about 150 words …"}

`kind` is about, range, above or below; the `length` of a range is [a, b].
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from lengthen.common.benchmark import BenchmarkFile, read_benchmark
from lengthen.common.errors import UserError
from lengthen.evaluate.length import Kind, bounds
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class BenchmarkPrompt(BaseModel):
    """A prompt and the length that it asks for, in words."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    category: str = ""
    language: Literal["en", "zh"]
    kind: Kind
    length: int | tuple[int, int] = Field(union_mode="left_to_right")
    prompt: str = Field(min_length=1)

    @model_validator(mode="after")
    def _length_fits_kind(self) -> BenchmarkPrompt:
        if (self.kind == "range") != isinstance(self.length, tuple):
            raise ValueError("a range has a length [a, b], every other kind has one number")
        if self.lower < 1 or self.lower > self.upper:
            raise ValueError(f"length {self.length} gives no bounds")
        return self

    @property
    def lower(self) -> int:
        return bounds(self.kind, self.length)[0]

    @property
    def upper(self) -> int:
        return bounds(self.kind, self.length)[1]

    @property
    def asked(self) -> int | None:
        """The one length that was asked for, where there is one."""
        return self.length if self.kind == "about" and isinstance(self.length, int) else None


class Benchmark:
    """A named list of prompts with a digest."""

    def __init__(self, file: BenchmarkFile) -> None:
        self.name, self.digest = file.name, file.digest
        self.prompts = [_prompt(line, where) for where, line in file.lines()]
        ids = [prompt.id for prompt in self.prompts]
        if twins := sorted({name for name in ids if ids.count(name) > 1}):
            raise UserError(f"{file.where}: id {twins[0]} stands twice")


def load_benchmark(file: Path | None) -> Benchmark:
    """The built-in benchmark, or the user's.

    Raises:
        UserError: the file or one of its lines can't be read.
    """
    return Benchmark(read_benchmark(file))


def _prompt(line: str, where: str) -> BenchmarkPrompt:
    try:
        raw: dict[str, Any] = json.loads(line)
        return BenchmarkPrompt.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'line'}: {item['msg']}" for item in error.errors())
        raise UserError(f"{where}: {problems}") from error
    except ValueError as error:
        raise UserError(f"{where} is no JSON object") from error
