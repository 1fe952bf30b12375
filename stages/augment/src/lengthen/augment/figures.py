"""The summary in augment's manifest: yield, diversity, and rows by category and language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from lengthen.common.stage.yields import yield_figures
from lengthen.common.store.figures import Figures, Row, columns
from lengthen.common.text.diversity import distinct, mean_similarity
from lengthen.common.text.words import count_words

_COLUMNS = ("instruction", "attempts", "category", "language")


def figures(rows: Iterable[Row], tokens: int) -> dict[str, Any]:
    texts, attempts, categories, languages = columns(rows, *_COLUMNS)
    return yield_figures([count_words(text) for text in texts], tokens, attempts) | {
        "distinct_2": distinct(texts, 2),
        "mean_similarity": mean_similarity(texts, seed=0),
        "categories": dict(Counter(category or "none" for category in categories)),
        "languages": dict(Counter(languages)),
    }


FIGURES = Figures(_COLUMNS, figures)
