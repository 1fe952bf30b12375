"""The summary in expand's manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lengthen.common.stage.yields import mean, yield_figures
from lengthen.common.store.figures import Figures, Row, columns

_COLUMNS = ("expansion_words", "attempts", "growth", "kept_headings", "kept_names", "trimmed")


def figures(rows: Iterable[Row], tokens: int) -> dict[str, Any]:
    words, attempts, growth, headings, names, trimmed = columns(rows, *_COLUMNS)
    return yield_figures(words, tokens, attempts, growth) | {
        "kept_headings": mean(headings),
        "kept_names": mean(names),
        "trimmed": sum(map(bool, trimmed)),
    }


FIGURES = Figures(_COLUMNS, figures)
