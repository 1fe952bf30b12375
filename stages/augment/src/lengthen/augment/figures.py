"""The summary in augment's manifest: yield, shares of long instructions, diversity, and rows by category and language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from lengthen.augment.pool import is_long
from lengthen.common.stage.yields import mean, yield_figures
from lengthen.common.store.figures import Figures, Row, columns
from lengthen.common.text.diversity import distinct, mean_similarity
from lengthen.common.text.words import count_words

_COLUMNS = ("instruction", "attempts", "category", "language", "parents")


def figures(rows: Iterable[Row], tokens: int) -> dict[str, Any]:
    texts, attempts, categories, languages, parents = columns(rows, *_COLUMNS)
    words = [count_words(text) for text in texts]
    return yield_figures(words, tokens, attempts) | {
        "long_share": mean([is_long(text, language) for text, language in zip(texts, languages, strict=True)]),
        "several_lines_share": mean(["\n" in text for text in texts]),
        "different_examples": len({tuple(examples) for examples in parents}),  # lists of examples; each gives one prompt
        "distinct_2": distinct(texts, 2),
        "mean_similarity": mean_similarity(texts, seed=0),
        "categories": dict(Counter(category or "none" for category in categories)),
        "languages": dict(Counter(languages)),
    }


FIGURES = Figures(_COLUMNS, figures)
