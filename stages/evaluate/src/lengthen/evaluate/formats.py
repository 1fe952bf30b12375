"""The formats of benchmark files, recognised by the fields of their lines.

ours             {"prompt": "…", "language": "en", "kind": "range", "length": [300, 400], "id": "a", "category": "", "range": ""}
LonGen           {"query": "…", "language": "en", "type": "about", "constraint": "around 2000 words", "range": "2-4k"}
LongBench-Write  {"prompt": "…", "type": "Popular Science", "length": 1000}
LongWrite-Ruler  the same fields; each task occurs several times with different lengths
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, Literal

from lengthen.common.method.benchmark.files import BenchmarkFile
from lengthen.common.method.demand import Demand, Kind
from lengthen.common.process.errors import UserError
from lengthen.common.text.languages import script_units
from lengthen.evaluate.item import EvaluationItem
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_NUMBER = re.compile(r"\d[\d,]*")
# LongBench-Write reports its scores by these groups of required lengths.
_GROUPS = ((500, "under 500"), (2000, "500-2k"), (4000, "2-4k"))


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Ours(_Line):
    prompt: str = Field(min_length=1)
    language: Literal["en", "zh"]
    kind: Kind
    length: int | tuple[int, int] = Field(union_mode="left_to_right")
    id: str = ""
    category: str = ""
    range: str = ""


class _LonGen(_Line):
    query: str = Field(min_length=1)
    language: Literal["en", "zh"]
    type: Kind
    constraint: str
    range: str = ""


class _LongBenchWrite(_Line):
    prompt: str = Field(min_length=1)
    type: str
    length: int


def _ours(raw: Any, name: str, number: str) -> EvaluationItem:
    line = _Ours.model_validate(raw)
    demand = Demand(line.kind, line.length)
    return EvaluationItem("benchmark", name, "ours", line.id or number, line.language, line.prompt, demand, line.category, line.range)


def _longen(raw: Any, name: str, number: str) -> EvaluationItem:
    line = _LonGen.model_validate(raw)
    numbers = [int(found.replace(",", "")) for found in _NUMBER.findall(line.constraint)]
    if len(numbers) != (2 if line.type == "range" else 1):
        raise ValueError(f"constraint {line.constraint!r} does not have the number of lengths that the type {line.type} needs")
    demand = Demand(line.type, (numbers[0], numbers[1]) if line.type == "range" else numbers[0])
    return EvaluationItem("benchmark", name, "LonGen", number, line.language, line.query, demand, "", line.range)


def _longbench_write(raw: Any, name: str, number: str) -> EvaluationItem:
    """The file has one required length for each prompt, so every demand counts as `about`."""
    line = _LongBenchWrite.model_validate(raw)
    group = next((label for below, label in _GROUPS if line.length < below), "4k and more")
    demand = Demand("about", line.length)
    return EvaluationItem("benchmark", name, "LongBench-Write", number, _language(line.prompt), line.prompt, demand, line.type, group)


_Parse = Callable[[Any, str, str], EvaluationItem]
# By the fields that a line must have; the first match counts.
_FORMATS: dict[str, tuple[set[str], _Parse]] = {
    "ours": ({"prompt", "language", "kind", "length"}, _ours),
    "LonGen": ({"query", "language", "type", "constraint"}, _longen),
    "LongBench-Write or LongWrite-Ruler": ({"prompt", "type", "length"}, _longbench_write),
}


def read_items(file: BenchmarkFile) -> list[EvaluationItem]:
    """The prompts of a benchmark file.

    Raises:
        UserError: a line is not a JSON object, has an unknown format or another format than the first one; a duplicate id.
    """
    items: list[EvaluationItem] = []
    format_name = ""
    for number, (where, line) in enumerate(file.lines(), start=1):
        raw = _object(line, where)
        found = _format(raw, where)
        if format_name and found != format_name:
            raise UserError(f"{where} has the format {found}, the lines before it have {format_name}; use one file for each format")
        format_name = found
        items.append(_item(_FORMATS[format_name][1], raw, file.name, f"{number:04d}", where))
    if duplicates := [name for name, count in Counter(item.id for item in items).items() if count > 1]:
        raise UserError(f"{file.where}: duplicate id {duplicates[0]!r}; give each line its own id")
    return _as_ruler(items) if _is_ruler(items) else items


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        raw = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where} is not a valid JSON object") from error
    if not isinstance(raw, dict):
        raise UserError(f"{where} is not a valid JSON object")
    return raw


def _format(raw: dict[str, Any], where: str) -> str:
    for name, (fields, _) in _FORMATS.items():
        if fields <= raw.keys():
            return name
    known = "; ".join(f"{name}: {', '.join(sorted(fields))}" for name, (fields, _) in _FORMATS.items())
    raise UserError(f"{where} has the fields {', '.join(map(repr, sorted(raw))) or 'none'}; known formats are {known}")


def _item(parse: _Parse, raw: dict[str, Any], name: str, number: str, where: str) -> EvaluationItem:
    try:
        return parse(raw, name, number)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'line'}: {item['msg']}" for item in error.errors())
        raise UserError(f"{where}: {problems}") from error
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def _is_ruler(items: list[EvaluationItem]) -> bool:
    """Whether every task of a LongBench-Write file occurs with several lengths."""
    lengths: dict[str, set[int]] = defaultdict(set)
    for item in items:
        if item.format != "LongBench-Write" or item.demand is None:
            return False
        lengths[_NUMBER.sub("", item.prompt)].add(item.demand.target)
    return all(len(found) > 1 for found in lengths.values())


def _as_ruler(items: list[EvaluationItem]) -> list[EvaluationItem]:
    return [
        EvaluationItem("benchmark", item.benchmark, "LongWrite-Ruler", item.id, item.language, item.prompt, item.demand, item.category,
             str(item.demand.target if item.demand else ""))
        for item in items
    ]  # fmt: skip


def _language(prompt: str) -> str:
    counts = script_units(prompt)
    return "zh" if counts["han"] > counts["latin"] else "en"
