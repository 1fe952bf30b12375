"""The prompts of an evaluation: the built-in benchmark in lengths of the config's, or the user's file; the ruler; the guard."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from lengthen.common.benchmark import BUILTIN, BenchmarkFile, read_benchmark
from lengthen.common.config import Config
from lengthen.common.demand import Demand, Kind
from lengthen.common.ids import text_digest
from lengthen.evaluate.case import Case
from lengthen.evaluate.formats import read_cases


def load_benchmark(file: Path | None, config: Config) -> tuple[list[Case], str]:
    """The prompts that are scored, and a digest of what they were made from.

    Raises:
        UserError: the file or one of its lines can't be read.
    """
    found = read_benchmark(file)
    if file is not None:
        return read_cases(found), found.digest
    cases = [_builtin(line, config.evaluate.lengths) for line in _lines(found, config)]
    return cases, text_digest(found.digest + _packaged("demands").digest)


def load_ruler(config: Config) -> tuple[list[Case], str]:
    """The same tasks for each of the config's lengths."""
    file = _packaged("ruler")
    return [_ruler(line, length) for length in config.evaluate.ruler for line in _lines(file, config)], file.digest


def load_guard(config: Config) -> tuple[list[Case], str]:
    """Short answers that were never trained on: their loss shows whether the model forgets how to give any."""
    file = _packaged("guard")
    lines = _lines(file, config) if config.evaluate.guard else []
    cases = [Case("guard", "guard", "ours", line["id"], line["language"], line["prompt"], given=line["answer"]) for line in lines]
    return cases, file.digest


def demand_of(kind: Kind, low: int, high: int) -> Demand:
    """A demand of this kind inside a range of lengths: about its middle, the range itself, above its low end, below its high end."""
    length = {"about": (low + high) // 2, "range": (low, high), "above": low, "below": high}[kind]
    return Demand(kind, length)  # type: ignore[arg-type]  # mypy takes the dict's values for object


def worded(demand: Demand, language: str) -> str:
    """A demand in words, as it stands in a prompt: "about 3000 words"."""
    places = dict(zip(("low", "high"), demand.length, strict=True)) if isinstance(demand.length, tuple) else {"length": demand.length}
    return Template(_wordings()[language][demand.kind]).substitute(places)


def _builtin(line: dict[str, Any], lengths: list[list[int]]) -> Case:
    low, high = lengths[line["range"]]
    demand = demand_of(line["kind"], low, high)
    prompt = Template(line["prompt"]).substitute(length=worded(demand, line["language"]))
    return Case("benchmark", BUILTIN, "ours", line["id"], line["language"], prompt, demand, line["category"], f"{low}-{high}")


def _ruler(line: dict[str, Any], length: int) -> Case:
    prompt = Template(line["prompt"]).substitute(length=length)
    name = f"{line['id']}-{length}"
    return Case("ruler", "ruler", "ours", name, line["language"], prompt, Demand("about", length), line["category"], str(length))


def _lines(file: BenchmarkFile, config: Config) -> list[dict[str, Any]]:
    """The lines in the config's languages."""
    lines = [json.loads(line) for _, line in file.lines()]
    return [line for line in lines if line["language"] in config.languages]


@cache
def _wordings() -> dict[str, dict[str, str]]:
    return {line["language"]: line for _, text in _packaged("demands").lines() for line in [json.loads(text)]}


def _packaged(name: str) -> BenchmarkFile:
    file = f"benchmarks/{name}.jsonl"
    return BenchmarkFile(name, (resources.files("lengthen.common") / file).read_text(encoding="utf-8"), file)
