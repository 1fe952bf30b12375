"""The summary in expand's manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lengthen.common.stage.yields import mean, yield_figures
from lengthen.common.store.figures import Figures, Row


def figures(rows: Iterable[Row], tokens: int) -> dict[str, Any]:
    found = list(rows)
    words, attempts, growth = ([row[name] for row in found] for name in ("expansion_words", "attempts", "growth"))
    retained = {name: mean(row[name] for row in found) for name in ("kept_headings", "kept_names")}
    return yield_figures(words, tokens, attempts, growth) | retained


FIGURES = Figures(("expansion_words", "attempts", "growth", "kept_headings", "kept_names"), figures)
