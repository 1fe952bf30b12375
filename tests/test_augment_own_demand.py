"""Instructions that demand a length themselves are found, in every form."""

from __future__ import annotations

import pytest
from lengthen.augment.own_demand import demands_length


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write a haiku about rain.", "a haiku"),
        ("Describe a lamp in one sentence.", "in one sentence"),
        ("Write a 300-word description of a lamp.", "300-word"),
        ("写一首七言绝句，主题是秋天。", "一首七言绝句"),
        ("用一句话介绍潮汐。", "一句话"),
    ],
)
def test_a_length_of_any_form_is_found(text: str, found: str) -> None:
    assert demands_length(text, "en" if text.isascii() else "zh") == found


@pytest.mark.parametrize("text", ["Write a novel about a harbour.", "Write a two-act play.", "写一部长篇小说。"])
def test_long_forms_demand_no_length(text: str) -> None:
    assert demands_length(text, "en" if text.isascii() else "zh") is None
