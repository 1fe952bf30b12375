"""Length demands: always true for their answer, and every written demand can be read."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lengthen.augment.release.draw import draw_demand, draw_demand_of_kind
from lengthen.augment.release.numerals import arabic, chinese, value
from lengthen.augment.release.phrasing import load_phrasing
from lengthen.augment.release.reading import read_demands
from lengthen.common.config.stages import Release
from lengthen.common.method.demand import KINDS, Demand, Kind
from lengthen.evaluate.length import length_score

INSTRUCTIONS = {
    "en": ["Write a story about 12 bakers in 1984.", "Explain tides", "Write a guide:\n\n- buying a boat\n- selling it", "Is 3.5 enough?"],
    "zh": ["写一篇关于1984年的小说，讲十二位面包师。", "解释潮汐", "写一份指南：\n\n- 买船\n- 卖船", "三点五够吗？"],
}
LENGTHS = st.one_of(st.integers(20, 400), st.integers(20, 20_000), st.integers(20, 90_000))


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(sorted(INSTRUCTIONS)), st.sampled_from(KINDS), LENGTHS, st.integers(0, 3), st.integers())
def test_every_demand_is_true_and_is_read_with_the_same_bounds(language: str, kind: Kind, words: int, which: int, seed: int) -> None:
    rng = random.Random(seed)
    demand = draw_demand_of_kind(kind, words, rng)
    assert demand.kind == kind and demand.lower <= words <= demand.upper
    assert length_score(words, demand.lower, demand.upper) == 1
    phrase = load_phrasing(language).phrase(demand, rng)
    query = load_phrasing(language).add_sentence(INSTRUCTIONS[language][which], phrase, rng)
    [found] = read_demands(query, language)
    assert found.demand == demand
    assert query[found.start : found.end] == phrase


@pytest.mark.parametrize("language", sorted(INSTRUCTIONS))
def test_every_phrase_and_numeral_can_be_parsed(language: str) -> None:
    """Each of them, not only a random sample."""
    phrasing = load_phrasing(language)
    for kind, templates in phrasing.raw["phrases"].items():
        demand = Demand(kind, (2000, 3500) if kind == "range" else 2500)
        seen = {phrasing.phrase(demand, random.Random(seed)) for seed in range(400)}
        assert len(seen) == len(templates) * len(set(phrasing.raw["numerals"]))
        assert [[found.demand for found in read_demands(phrase, language)] for phrase in seen] == [[demand]] * len(seen)


@given(st.integers(0, 99_999_999))
def test_numerals_can_be_parsed(number: int) -> None:
    assert value(chinese(number)) == value(arabic(number, grouped=True)) == value(arabic(number, grouped=False)) == number


@pytest.mark.parametrize(
    ("number", "written"),
    [(15, "十五"), (200, "二百"), (1050, "一千零五十"), (2000, "两千"), (3500, "三千五百"), (12_000, "一万两千"), (20_500, "两万零五百")],
)
def test_chinese_numerals_are_written_as_usual(number: int, written: str) -> None:
    assert chinese(number) == written


@pytest.mark.parametrize("text", ["两三千", "百千", "十百", "1.5555千", "2w words", "three cats"])
def test_an_invalid_numeral_raises(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        value(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write a 3,000-word essay.", Demand("about", 3000)),
        ("The report must not exceed 2000 words.", Demand("below", 2000)),
        ("An essay of no less than 1500 words", Demand("above", 1500)),
        ("Word count: at least 2000.", Demand("above", 2000)),
        ("between 2000 and 3000 words", Demand("range", (2000, 3000))),
        ("请写一篇字数需超过2000字的文章", Demand("above", 2000)),
        ("字数不少于三千", Demand("above", 3000)),
        ("写一篇作文，不得少于800字。", Demand("above", 800)),
        ("字数不得高于900字", Demand("below", 900)),
        ("2000－3000字", Demand("range", (2000, 3000))),
        ("写3000字和5张插图", Demand("about", 3000)),
        ("It must be no shorter than 500 words.", Demand("above", 500)),
        ("not longer than 500 words", Demand("below", 500)),
        ("about 2000 words over 3 chapters", Demand("about", 2000)),
        ("2000 words under the sea", Demand("about", 2000)),
        ("2,000 words and 3 poems", Demand("about", 2000)),
        ("Word count: 2000 to 3000.", Demand("range", (2000, 3000))),
        ("字数在2000至3000字之间", Demand("range", (2000, 3000))),
        ("a thousand-word story", Demand("about", 1000)),
        ("2000+ words", Demand("above", 2000)),
        ("2000 or more words", Demand("above", 2000)),
        ("3k words", Demand("about", 3000)),
        ("**2000** words", Demand("about", 2000)),
        ("max 2000 words", Demand("below", 2000)),
        ("2000 words max", Demand("below", 2000)),
        ("limited to 2000 words", Demand("below", 2000)),
        ("word limit: 2000", Demand("below", 2000)),
        ("≥2000 words", Demand("above", 2000)),
        ("It should not be over 3,000 words.", Demand("below", 3000)),
        ("never above 3,000 words", Demand("below", 3000)),
        ("nothing less than 500 words", Demand("above", 500)),
        ("at least 2,000 and at most 3,000 words", Demand("range", (2000, 3000))),
        ("more than 2000 words but fewer than 3000", Demand("range", (2000, 3000))),
        ("三到五千字的作文", Demand("range", (3000, 5000))),
        ("3千字", Demand("about", 3000)),
        ("1.5万字", Demand("about", 15000)),
        ("上限3000字", Demand("below", 3000)),
        ("3000字为上限", Demand("below", 3000)),
        ("不可多于900字", Demand("below", 900)),
    ],
)
def test_demands_in_other_words_can_be_read(text: str, expected: Demand) -> None:
    language = "zh" if re.search("[\u4e00-\u9fff]", text) else "en"
    assert [found.demand for found in read_demands(text, language)] == [expected]


UNCLEAR = [
    *("a four-page essay", "a one-page essay", "in 3 paragraphs", "2,000 English words", "5 chapters of 2000 words each"),
    *("两三千字的作文", "写三页", "3000多字", "三千多字", "3000词", "未超过900字", "每章2000字", f"{'9' * 400} words"),
]


@pytest.mark.parametrize("text", UNCLEAR)
def test_an_unclear_demand_is_found_without_its_bounds(text: str) -> None:
    assert [found.demand for found in read_demands(text, "zh" if re.search("[\u4e00-\u9fff]", text) else "en")] == [None]


@pytest.mark.parametrize(
    "text",
    [
        "Use 5 words at most in the title.",
        "In 1984, a word was enough.",
        "解释一个四字成语",
        "In 3000 years",
        "the two of them",
        "三段经历",
        "字数不限，讲述1998年的洪水。",
    ],
)
def test_other_numbers_are_not_read_as_demands(text: str) -> None:
    assert read_demands(text, "en" if text.isascii() else "zh") == []


def test_kinds_have_the_configured_shares() -> None:
    found = [draw_demand(3000, Release(), random.Random(seed)) for seed in range(4000)]
    shares = {kind: sum(demand is not None and demand.kind == kind for demand in found) / len(found) for kind in KINDS}
    expected = {"about": 0.36, "range": 0.225, "above": 0.09, "below": 0.225}  # the paper's, of the 90 % that have a demand
    assert shares == pytest.approx(expected, abs=0.03)


def test_numbers_are_round() -> None:
    """As in the paper: mostly thousands for answers of thousands of words."""
    lengths = [draw_demand_of_kind("about", words, random.Random(words)).target for words in range(2000, 9000, 7)]
    assert sum(length % 1000 == 0 for length in lengths) > 0.8 * len(lengths)
    assert all(length % 100 == 0 for length in lengths)
