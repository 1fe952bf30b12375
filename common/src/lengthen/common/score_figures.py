"""Figures of a `scores` dataset from its rows alone, so that a sealed one has the same as one written whole.

    score_figures(rows)["by_kind"]["about"]["length_score"] == {"mean": …, "low": …, "high": …, "values": …}

`low` and `high` are a 95 % bootstrap interval over prompts; a prompt's value is the mean of its samples.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

from lengthen.common.bootstrap import estimate
from lengthen.common.report import mean
from lengthen.common.tables import QUALITIES

MEASURES = ("words", "words_latin_runs", "length_score", "s_l", "repetition", "distinct_2", "distinct_4", "cut", "loss",
            "quality", *(f"quality_{name}" for name in QUALITIES))  # fmt: skip
FIGURE_COLUMNS = [
    "id", "part", "benchmark", "prompt_id", "prompt", "language", "kind", "range", "asked", "finish_reason", "repetition_by_tenth",
    "quality_by_tenth", "judge", "judge_input_tokens", "judge_output_tokens", "judge_cost", *(m for m in MEASURES if m != "cut"),
]  # fmt: skip
_HEADLINES = ("words", "length_score", "s_l", "repetition", "cut", "quality")
Row = dict[str, Any]


def score_figures(rows: Iterable[Row]) -> dict[str, Any]:
    """Everything that a manifest says about scores: overall, by kind, range and language; ruler, guard, decay and judge."""
    parts: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["id"]):  # sums of floats depend on their order
        parts[row["part"]].append(row)
    main = parts["benchmark"] or parts["data"]
    overall = group_figures(main)
    figures: dict[str, Any] = {f"mean_{name}": overall[name]["mean"] for name in _HEADLINES if name in overall}
    figures |= {"overall": overall}
    figures |= {f"by_{name}": grouped(main, itemgetter(name)) for name in ("kind", "range", "language")}
    figures["ruler"] = grouped(parts["ruler"], lambda row: str(row["asked"]))
    figures["guard"] = {name: found | {"perplexity": math.exp(found["loss"]["mean"])} for name, found in _guard(parts["guard"]).items()}
    figures["decay"] = {name: found for name in ("repetition", "quality") if (found := by_tenth(main, f"{name}_by_tenth"))}
    figures["judge"] = _judge([row for part in ("benchmark", "data", "ruler") for row in parts[part]])
    figures["instructions"] = _variety([row["prompt"] for row in parts["data"]])
    return {name: value for name, value in figures.items() if value not in (None, {})}


def group_figures(rows: Sequence[Row]) -> dict[str, Any]:
    """How many answers, and each measure that the rows have, with its interval."""
    found: dict[str, Any] = {"answers": len(rows)}
    for name in MEASURES:
        if values := estimate(list(by_prompt(rows, name).values())):
            found[name] = values._asdict()
    return found


def by_prompt(rows: Iterable[Row], name: str) -> dict[str, float]:
    """A measure by prompt, the mean over its samples; prompts without a value are left out."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if (value := measure(row, name)) is not None:
            values[f"{row['benchmark']}/{row['prompt_id']}"].append(value)
    return {prompt: math.fsum(found) / len(found) for prompt, found in sorted(values.items())}


def measure(row: Row, name: str) -> float | None:
    """A measure of a row. `cut`: 1 where the limit on tokens ended the answer."""
    if name == "cut":
        return float(row["finish_reason"] == "length") if row["part"] in ("benchmark", "ruler") else None
    if name == "loss" or row["part"] != "guard":
        return None if row[name] is None else float(row[name])
    return None


def grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, Any]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if key(row):
            groups[key(row)].append(row)
    return {name: group_figures(groups[name]) for name in sorted(groups)}


def by_tenth(rows: Iterable[Row], name: str) -> list[float | None] | None:
    """The mean of a measure over each tenth of the texts; None where no row has it."""
    found = [row[name] for row in rows if row[name]]
    return [mean(tenths[number] for tenths in found) for number in range(10)] if found else None


def _guard(rows: Sequence[Row]) -> dict[str, Any]:
    return {"all": group_figures(rows), **grouped(rows, lambda row: str(row["language"]))} if rows else {}


def _variety(instructions: list[str]) -> dict[str, float]:
    """How different the instructions of training data are from each other."""
    if not instructions:
        return {}
    from lengthen.common.text.diversity import distinct, mean_similarity

    found = {f"distinct_{n}": distinct(instructions, n) for n in (2, 4)}
    return found | {"mean_similarity": mean_similarity(instructions, seed=0)}


def _judge(rows: Sequence[Row]) -> dict[str, Any]:
    """Who judged, how many answers got a score, and what that took."""
    asked = [row for row in rows if row["judge"]]
    if not asked:
        return {}
    judged = sum(row["quality"] is not None for row in asked)
    figures: dict[str, Any] = {"name": asked[0]["judge"], "judged": judged, "without_score": len(asked) - judged}
    figures |= {name: sum(row[f"judge_{name}"] for row in asked) for name in ("input_tokens", "output_tokens")}
    return figures | {"cost": math.fsum(row["judge_cost"] or 0.0 for row in asked)}
