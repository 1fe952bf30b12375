"""The summary in augment's manifest: yield, diversity, and rows by category and language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from lengthen.common.stage.yields import yield_figures
from lengthen.common.store.figures import Figures, Row
from lengthen.common.text.diversity import distinct, mean_similarity
from lengthen.common.text.words import count_words


def figures(rows: Iterable[Row], tokens: int) -> dict[str, Any]:
    found = list(rows)
    texts = [row["instruction"] for row in found]
    return yield_figures([count_words(text) for text in texts], tokens, [row["attempts"] for row in found]) | {
        "distinct_2": distinct(texts, 2),
        "mean_similarity": mean_similarity(texts, seed=0),
        "categories": dict(Counter(row["category"] or "none" for row in found)),
        "languages": dict(Counter(row["language"] for row in found)),
    }


FIGURES = Figures(("instruction", "attempts", "category", "language"), figures)
