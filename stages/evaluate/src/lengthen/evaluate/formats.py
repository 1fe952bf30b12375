"""The published forms of benchmark files, recognised by the fields of their lines.

ours             {"prompt": "…", "language": "en", "kind": "range", "length": [300, 400], "id": "a", "category": "", "range": ""}
LonGen           {"query": "…", "language": "en", "type": "about", "constraint": "around 2000 words", "range": "2-4k"}
LongBench-Write  {"prompt": "…", "type": "Popular Science", "length": 1000}
LongWrite-Ruler  the same fields; the same tasks again and again, for other lengths
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, Literal

from lengthen.common.benchmark import BenchmarkFile
from lengthen.common.demand import Demand, Kind
from lengthen.common.errors import UserError
from lengthen.common.text.languages import script_units
from lengthen.evaluate.case import Case
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_NUMBER = re.compile(r"\d[\d,]*")
# LongBench-Write reports its scores by these groups of lengths.
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


def _ours(raw: Any, name: str, number: str) -> Case:
    line = _Ours.model_validate(raw)
    demand = Demand(line.kind, line.length)
    return Case("benchmark", name, "ours", line.id or number, line.language, line.prompt, demand, line.category, line.range)


def _longen(raw: Any, name: str, number: str) -> Case:
    line = _LonGen.model_validate(raw)
    numbers = [int(found.replace(",", "")) for found in _NUMBER.findall(line.constraint)]
    if len(numbers) != (2 if line.type == "range" else 1):
        raise ValueError(f"constraint {line.constraint!r} doesn't name the length of the type {line.type}")
    demand = Demand(line.type, (numbers[0], numbers[1]) if line.type == "range" else numbers[0])
    return Case("benchmark", name, "LonGen", number, line.language, line.query, demand, "", line.range)


def _longbench_write(raw: Any, name: str, number: str) -> Case:
    """The file gives the required length alone, so every demand counts as `about`."""
    line = _LongBenchWrite.model_validate(raw)
    group = next((label for below, label in _GROUPS if line.length < below), "4k and more")
    demand = Demand("about", line.length)
    return Case("benchmark", name, "LongBench-Write", number, _language(line.prompt), line.prompt, demand, line.type, group)


_Parse = Callable[[Any, str, str], Case]
# By the fields that a line must have, in this order of preference.
_FORMS: dict[str, tuple[set[str], _Parse]] = {
    "ours": ({"prompt", "language", "kind", "length"}, _ours),
    "LonGen": ({"query", "language", "type", "constraint"}, _longen),
    "LongBench-Write or LongWrite-Ruler": ({"prompt", "type", "length"}, _longbench_write),
}


def read_cases(file: BenchmarkFile) -> list[Case]:
    """The prompts of a benchmark file.

    Raises:
        UserError: a line that is no JSON object, or of no known form, or of another form than the first; an id twice.
    """
    cases: list[Case] = []
    form = ""
    for number, (where, line) in enumerate(file.lines(), start=1):
        raw = _object(line, where)
        found = _form(raw, where)
        if form and found != form:
            raise UserError(f"{where} is of the form {found}, the lines before it are {form}; give each form a file of its own")
        form = found
        cases.append(_case(_FORMS[form][1], raw, file.name, f"{number:04d}", where))
    if twins := [name for name, count in Counter(case.id for case in cases).items() if count > 1]:
        raise UserError(f"{file.where}: id {twins[0]} stands twice")
    return _ruler(cases) if _is_ruler(cases) else cases


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        raw = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where} is no JSON object") from error
    if not isinstance(raw, dict):
        raise UserError(f"{where} is no JSON object")
    return raw


def _form(raw: dict[str, Any], where: str) -> str:
    for name, (fields, _) in _FORMS.items():
        if fields <= raw.keys():
            return name
    known = "; ".join(f"{name}: {', '.join(sorted(fields))}" for name, (fields, _) in _FORMS.items())
    raise UserError(f"{where} has the fields {', '.join(map(repr, sorted(raw))) or 'none'}; known forms are {known}")


def _case(parse: _Parse, raw: dict[str, Any], name: str, number: str, where: str) -> Case:
    try:
        return parse(raw, name, number)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'line'}: {item['msg']}" for item in error.errors())
        raise UserError(f"{where}: {problems}") from error
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def _is_ruler(cases: list[Case]) -> bool:
    """Whether every task of a LongBench-Write file stands there for several lengths."""
    lengths: dict[str, set[int]] = defaultdict(set)
    for case in cases:
        if case.format != "LongBench-Write" or case.demand is None:
            return False
        lengths[_NUMBER.sub("", case.prompt)].add(case.demand.asked)
    return all(len(found) > 1 for found in lengths.values())


def _ruler(cases: list[Case]) -> list[Case]:
    return [
        Case("benchmark", case.benchmark, "LongWrite-Ruler", case.id, case.language, case.prompt, case.demand, case.category,
             str(case.demand.asked if case.demand else ""))
        for case in cases
    ]  # fmt: skip


def _language(prompt: str) -> str:
    counts = script_units(prompt)
    return "zh" if counts["han"] > counts["latin"] else "en"
