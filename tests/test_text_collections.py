"""Languages, near duplicates and the diversity of a collection."""

from __future__ import annotations

import random
from itertools import permutations
from typing import get_args

import pytest
from lengthen.common.config.section import Language
from lengthen.common.text.diversity import distinct, mean_similarity
from lengthen.common.text.duplicates import NearDuplicates
from lengthen.common.text.languages import LANGUAGES, detect, foreign_share, script_units

ENGLISH = "The river was high that spring, and the men of the village had to carry their boats over the bridge in the dark."
CHINESE = "那年春天河水涨得很高，村里的人只好在夜里扛着船走过桥去，孩子们跟在后面，一声也不敢出。"
OTHERS = {
    "fr": "La rivière était haute ce printemps et les hommes du village ont dû porter leurs bateaux sur le pont dans la nuit.",
    "de": "Der Fluss war in diesem Frühling hoch und die Männer aus dem Dorf trugen ihre Boote mit den Kindern über die Brücke.",
    "es": "El río estaba alto esa primavera y los hombres del pueblo tuvieron que llevar sus barcas por el puente en la noche.",
    "ru": "Река той весной стояла высоко, и мужчинам деревни пришлось нести лодки через мост в темноте.",
    "ja": "その春は川の水が高くて、村の人たちは夜のうちに舟をかついで橋をわたらなければならなかった。",
    "ko": "그해 봄에는 강물이 높아서 마을 사람들은 밤에 배를 메고 다리를 건너야 했다.",
}


def test_every_configurable_language_is_in_the_language_table() -> None:
    assert set(get_args(Language)) == set(LANGUAGES)


@pytest.mark.parametrize(("language", "text"), [("en", ENGLISH), ("zh", CHINESE), *OTHERS.items()])
def test_the_language_is_detected_from_one_sentence(language: str, text: str) -> None:
    assert detect(text) == language


@pytest.mark.parametrize("text", ["", "12 + 34", "Kyoto, Osaka, Nara, Kobe", "badefi gomane lusito", "\ud800"])
def test_an_unclear_text_has_no_language(text: str) -> None:
    assert detect(text) is None


def test_code_switching_is_the_share_of_units_in_another_script() -> None:
    assert foreign_share(script_units("我爱 New York"), "zh") == pytest.approx(2 / 4)
    assert foreign_share(script_units("I like 你好"), "en") == pytest.approx(2 / 4)
    assert foreign_share(script_units(CHINESE), "en") == 1.0
    assert foreign_share(script_units("请运行 `pip install name`：\n```python\nprint('hello world')\n```\n"), "zh") == 0.0
    assert foreign_share(script_units("123"), "en") == 0.0


def similar(count: int, changed: int) -> str:
    return " ".join(f"other{n}" if n < changed else f"word{n}" for n in range(count))


def test_a_near_duplicate_is_found_with_its_similarity_and_a_distant_one_is_not() -> None:
    index = NearDuplicates(0.7)
    index.add("a", similar(100, 0))
    assert index.nearest(similar(100, 0).upper().replace(" ", "  ")) == ("a", 1.0)
    key, similarity = index.nearest(similar(100, 5)) or ("", 0.0)
    assert key == "a" and similarity == pytest.approx(93 / 103, abs=0.1)  # 93 of 98 shingles each
    assert index.nearest(similar(100, 60)) is None
    assert index.nearest("") is None


def test_chinese_near_duplicates_are_found_by_characters() -> None:
    index = NearDuplicates(0.6)
    index.add("a", CHINESE)
    found = index.nearest(CHINESE.replace("孩子们", "女人们"))
    assert found is not None and found[0] == "a"
    assert index.nearest("写一篇关于城市交通历史的长文，要有细节和例子。") is None


def test_the_nearest_does_not_depend_on_the_order_of_adding() -> None:
    texts = {"a": similar(60, 3), "b": similar(60, 6), "c": similar(60, 3), "d": ENGLISH}
    answers = set()
    for order in permutations(texts):
        index = NearDuplicates(0.5)
        for key in order:
            index.add(key, texts[key])
        assert len(index) == 3  # a and c are the same text
        answers.add((index.nearest(similar(60, 0)), index.nearest(similar(60, 3)), index.nearest(ENGLISH + " Yes.")))
    assert len(answers) == 1
    nearest, same, _ = answers.pop()
    assert nearest is not None and nearest[0] == "a" and same == ("a", 1.0)


def test_few_near_duplicates_are_missed_above_the_bound() -> None:
    index = NearDuplicates(0.7)
    rng = random.Random(5)
    texts = [" ".join(f"w{rng.randrange(10**6)}" for _ in range(40)) for _ in range(200)]
    for number, text in enumerate(texts):
        index.add(str(number), text)
    assert sum(index.nearest(text + " end") is not None for text in texts) >= 198  # similarity 38/39
    assert sum(index.nearest(" ".join(text.split()[:37])) is not None for text in texts) >= 190  # 35/38


def test_distinct_n_of_one_text_and_of_many() -> None:
    assert distinct(["a b a b a b"], 2) == pytest.approx(2 / 5)
    assert distinct(["a b", "a b", "c d"], 2) == pytest.approx(2 / 3)  # no n-gram includes words of two texts
    assert distinct(["a"], 2) == 1.0
    assert distinct([], 2) == 1.0


def test_mean_similarity_is_exact_over_few_pairs_and_sampled_by_seed_over_many() -> None:
    assert mean_similarity(["a b c d", "a b c e", "x y z"], seed=1) == pytest.approx((1 / 3 + 0 + 0) / 3)
    assert mean_similarity(["a b c"], seed=1) == 0.0
    texts = [f"a b c d {n % 7} {n}" for n in range(200)]
    assert mean_similarity(texts, seed=1) == mean_similarity(texts, seed=1)
    assert mean_similarity(texts, seed=1) == pytest.approx(mean_similarity(texts, seed=2, pairs=10**6), rel=0.2)
