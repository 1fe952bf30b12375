"""The prompts of an evaluation: the built-in benchmark in the config's lengths, or the user's file; the ruler; the forgetting prompts."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from lengthen.common.config.load import Config
from lengthen.common.method.benchmark.files import BUILTIN, BenchmarkFile, read_benchmark
from lengthen.common.method.demand import Demand, Kind
from lengthen.evaluate.formats import read_items
from lengthen.evaluate.item import EvaluationItem


def load_benchmark(file: Path | None, config: Config) -> tuple[list[EvaluationItem], str]:
    """The benchmark's prompts, and the digest of its file.

    Raises:
        UserError: the file or one of its lines is invalid.
    """
    found = read_benchmark(file)
    if file is not None:
        return read_items(found), found.digest
    return [_builtin(line, config.evaluate.lengths) for line in _lines(found, config)], found.digest


def load_ruler(config: Config) -> list[EvaluationItem]:
    """The same tasks for each length in `evaluate.ruler`."""
    return [_ruler(line, length) for length in config.evaluate.ruler for line in _lines(_packaged("ruler"), config)]


def load_forgetting(config: Config) -> list[EvaluationItem]:
    """Short answers that no stage trains on: a higher loss on them shows forgetting."""
    lines = _lines(_packaged("forgetting"), config) if config.evaluate.forgetting else []
    return [
        EvaluationItem("forgetting", "forgetting", "ours", line["id"], line["language"], line["prompt"], given=line["answer"])
        for line in lines
    ]


def demand_of(kind: Kind, low: int, high: int) -> Demand:
    """The demand of this kind for a range of lengths: about its middle, the range itself, above its low end, below its high end."""
    length = {"about": (low + high) // 2, "range": (low, high), "above": low, "below": high}[kind]
    return Demand(kind, length)  # type: ignore[arg-type]  # mypy takes the dict's values for object


def demand_phrase(demand: Demand, language: str) -> str:
    """The words of a demand in a prompt: "about 3000 words"."""
    values = dict(zip(("low", "high"), demand.length, strict=True)) if isinstance(demand.length, tuple) else {"length": demand.length}
    return Template(_phrases()[language][demand.kind]).substitute(values)


def _builtin(line: dict[str, Any], lengths: list[list[int]]) -> EvaluationItem:
    low, high = lengths[line["range"]]
    demand = demand_of(line["kind"], low, high)
    prompt = Template(line["prompt"]).substitute(length=demand_phrase(demand, line["language"]))
    return EvaluationItem("benchmark", BUILTIN, "ours", line["id"], line["language"], prompt, demand, line["category"], f"{low}-{high}")


def _ruler(line: dict[str, Any], length: int) -> EvaluationItem:
    prompt = Template(line["prompt"]).substitute(length=length)
    name = f"{line['id']}-{length}"
    return EvaluationItem("ruler", "ruler", "ours", name, line["language"], prompt, Demand("about", length), line["category"], str(length))


def _lines(file: BenchmarkFile, config: Config) -> list[dict[str, Any]]:
    """The lines in the config's languages."""
    lines = [json.loads(line) for _, line in file.lines()]
    return [line for line in lines if line["language"] in config.languages]


@cache
def _phrases() -> dict[str, dict[str, str]]:
    return {line["language"]: line for _, text in _packaged("demands").lines() for line in [json.loads(text)]}


def _packaged(name: str) -> BenchmarkFile:
    file = f"benchmarks/{name}.jsonl"
    return BenchmarkFile(name, (resources.files("lengthen.evaluate") / file).read_text(encoding="utf-8"), file)
