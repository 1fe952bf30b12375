"""The summary in a release's manifest: lengths of the answers, and row counts by kind, split and so on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from lengthen.common.stage.yields import yield_figures
from lengthen.common.store.figures import Figures, Row

_COUNTED = ("kind", "demand_by", "split", "source", "language")


def figures(rows: Iterable[Row], tokens: int) -> dict[str, Any]:
    found = list(rows)
    made = yield_figures([row["words"] for row in found], tokens, [row["attempts"] for row in found if row["attempts"]])
    made.pop("tokens_per_word")  # the tokens were generated for the queries, the words are the answers'
    return made | {name: dict(sorted(Counter(row[name] or "none" for row in found).items())) for name in _COUNTED}


FIGURES = Figures(("words", "attempts", *_COUNTED), figures)
