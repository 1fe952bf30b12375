"""The summary in generate's manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lengthen.common.stage.yields import yield_figures
from lengthen.common.store.figures import Figures, Row, columns

_COLUMNS = ("words", "attempts", "trimmed")


def figures(rows: Iterable[Row], tokens: int) -> dict[str, Any]:
    words, attempts, trimmed = columns(rows, *_COLUMNS)
    return yield_figures(words, tokens, attempts) | {"trimmed": sum(map(bool, trimmed))}


FIGURES = Figures(_COLUMNS, figures)
