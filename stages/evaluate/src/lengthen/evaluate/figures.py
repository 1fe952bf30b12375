"""Figures of a `scores` dataset, computed only from its rows: sealed shards have the same as an unsharded dataset.

    score_figures(rows)["by_kind"]["about"]["length_score"] == {"mean": …, "low": …, "high": …, "values": …}

`low` and `high` are a 95 % bootstrap interval over prompts; the value of a prompt is the mean over its samples.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

from lengthen.common.stage.yields import mean
from lengthen.common.store.figures import Figures, Row
from lengthen.common.tables.definitions import QUALITIES
from lengthen.evaluate.bootstrap import estimate

MEASURES = ("words", "words_latin_runs", "length_score", "s_l", "repetition", "distinct_2", "distinct_4", "cut", "loss",
            "quality", *(f"quality_{name}" for name in QUALITIES))  # fmt: skip
FIGURE_COLUMNS = [
    "id", "part", "benchmark", "prompt_id", "prompt", "language", "kind", "range", "asked", "finish_reason", "repetition_by_tenth",
    "quality_by_tenth", "judge", "judge_input_tokens", "judge_output_tokens", "judge_cost", *(m for m in MEASURES if m != "cut"),
]  # fmt: skip
_TOP_LEVEL = ("words", "length_score", "s_l", "repetition", "cut", "quality")


def score_figures(rows: Iterable[Row]) -> dict[str, Any]:
    """The summary in the manifest: overall, by kind, range and language; ruler, forgetting, decay and judge."""
    parts: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["id"]):  # the sum of floats depends on their order
        parts[row["part"]].append(row)
    main = parts["benchmark"] or parts["data"]
    overall = group_figures(main)
    figures: dict[str, Any] = {f"mean_{name}": overall[name]["mean"] for name in _TOP_LEVEL if name in overall}
    figures |= {"overall": overall}
    figures |= {f"by_{name}": grouped(main, itemgetter(name)) for name in ("kind", "range", "language")}
    figures["ruler"] = grouped(parts["ruler"], lambda row: str(row["asked"]))
    figures["forgetting"] = {
        name: found | {"perplexity": math.exp(found["loss"]["mean"])} for name, found in _by_language(parts["forgetting"]).items()
    }
    figures["decay"] = {name: found for name in ("repetition", "quality") if (found := by_tenth(main, f"{name}_by_tenth"))}
    figures["judge"] = _judge([row for part in ("benchmark", "data", "ruler") for row in parts[part]])
    figures["instructions"] = _diversity([row["prompt"] for row in parts["data"]])
    return {name: value for name, value in figures.items() if value not in (None, {})}


def figures(rows: Iterable[Row], tokens: int) -> dict[str, Any]:
    """See `score_figures`; `tokens` is not used."""
    return score_figures(rows)


def group_figures(rows: Sequence[Row]) -> dict[str, Any]:
    """The number of answers, and each measure that the rows have, with its interval."""
    found: dict[str, Any] = {"answers": len(rows)}
    for name in MEASURES:
        if values := estimate(list(by_prompt(rows, name).values())):
            found[name] = values._asdict()
    return found


def by_prompt(rows: Iterable[Row], name: str) -> dict[str, float]:
    """A measure by prompt: the mean over its samples. Prompts without a value are omitted."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if (value := measure(row, name)) is not None:
            values[f"{row['benchmark']}/{row['prompt_id']}"].append(value)
    return {prompt: math.fsum(found) / len(found) for prompt, found in sorted(values.items())}


def measure(row: Row, name: str) -> float | None:
    """A measure of a row; None if it does not apply. `cut` is 1 if the token limit ended the answer."""
    if name == "cut":
        return float(row["finish_reason"] == "length") if row["part"] in ("benchmark", "ruler") else None
    if name == "loss" or row["part"] != "forgetting":
        return None if row[name] is None else float(row[name])
    return None


def grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> dict[str, Any]:
    """`group_figures` of each group of rows with the same key; rows with an empty key are omitted."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if key(row):
            groups[key(row)].append(row)
    return {name: group_figures(groups[name]) for name in sorted(groups)}


def by_tenth(rows: Iterable[Row], name: str) -> list[float | None] | None:
    """The mean of a measure for each tenth of the texts; None if no row has it."""
    found = [row[name] for row in rows if row[name]]
    return [mean(tenths[number] for tenths in found) for number in range(10)] if found else None


def _by_language(rows: Sequence[Row]) -> dict[str, Any]:
    return {"all": group_figures(rows), **grouped(rows, lambda row: str(row["language"]))} if rows else {}


def _diversity(instructions: list[str]) -> dict[str, float]:
    """How much the instructions of training data differ from each other."""
    if not instructions:
        return {}
    from lengthen.common.text.diversity import distinct, mean_similarity

    found = {f"distinct_{n}": distinct(instructions, n) for n in (2, 4)}
    return found | {"mean_similarity": mean_similarity(instructions, seed=0)}


def _judge(rows: Sequence[Row]) -> dict[str, Any]:
    """The judge's name, how many answers it graded, and its tokens and cost."""
    sent = [row for row in rows if row["judge"]]
    if not sent:
        return {}
    judged = sum(row["quality"] is not None for row in sent)
    figures: dict[str, Any] = {"name": sent[0]["judge"], "judged": judged, "without_score": len(sent) - judged}
    figures |= {name: sum(row[f"judge_{name}"] for row in sent) for name in ("input_tokens", "output_tokens")}
    return figures | {"cost": math.fsum(row["judge_cost"] or 0.0 for row in sent)}


FIGURES = Figures(FIGURE_COLUMNS, figures)
