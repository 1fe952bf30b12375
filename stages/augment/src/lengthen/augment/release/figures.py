"""The summary in a release's manifest: lengths of the answers, and row counts by kind, split and so on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from lengthen.common.stage.yields import yield_figures
from lengthen.common.store.figures import Figures, Row, columns

_COUNTED = ("kind", "demand_by", "split", "source", "language")


def figures(rows: Iterable[Row], tokens: int) -> dict[str, Any]:
    words, attempts, *counted = columns(rows, "words", "attempts", *_COUNTED)
    made = yield_figures(words, tokens, [number for number in attempts if number])
    made.pop("tokens_per_word")  # the tokens were generated for the queries, the words are the answers'
    return made | {
        name: dict(sorted(Counter(value or "none" for value in values).items())) for name, values in zip(_COUNTED, counted, strict=True)
    }


FIGURES = Figures(("words", "attempts", *_COUNTED), figures)
