"""The summary in generate's manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lengthen.common.stage.yields import yield_figures
from lengthen.common.store.figures import Figures, Row


def figures(rows: Iterable[Row], tokens: int) -> dict[str, Any]:
    found = list(rows)
    return yield_figures([row["words"] for row in found], tokens, [row["attempts"] for row in found])


FIGURES = Figures(("words", "attempts"), figures)
