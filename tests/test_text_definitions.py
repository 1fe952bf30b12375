"""Word counts and length scores compared with a second, direct implementation of their definitions."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from lengthen.common.method.demand import Kind, bounds
from lengthen.common.text.words import count_words, count_words_latin_runs
from lengthen.evaluate.length import length_score, s_l

# Text, LonGen's words, LongBench-Write's words: counted by hand.
BY_HAND = [
    ("", 0, 0),
    ("\n\t ", 0, 0),
    ("Hello, world", 2, 2),
    ("don't stop", 2, 3),
    ("semi-colon; x", 2, 3),
    ("e.g. U.S.A.", 2, 5),
    ("x\u00a0y", 2, 2),
    ("— dash —", 3, 1),
    ("2026", 1, 0),
    ("a1 b2", 2, 0),  # letters next to digits are not a run
    ("snake_case", 1, 0),
    ("naïve café", 2, 0),
    ("😊 ok", 2, 1),
    ("你好", 2, 2),
    ("你好，世界！", 6, 4),
    ("「引号」", 4, 2),
    ("(你)好", 4, 2),
    ("AI时代", 3, 2),
    ("AI 时代", 3, 3),
    ("２０２６年", 5, 1),
    ("100％", 2, 0),
    ("\u3000indent", 2, 1),
    ("㐀㐁", 2, 0),
    ("日本語の本", 5, 4),
    ("한국어 말", 2, 0),
]
ALPHABETS = [
    "abcdefXYZ", "0123456789", " \n\t\u00a0\u3000", ".,;:!?'\"-_()*#`", "，。！？；：“”‘’（）《》「」…—", "你好世界时代文章城市",
    "㐀䶿一鿿", "ＡＢｃ１２％～", "éüñßøĀ", "のカナ", "한국어", "привет", "😊🎉", "\ufeff\u200b\u2028\x1c\x85",
]  # fmt: skip


def is_cjk(character: str) -> bool:
    """An ideograph of the main block or extension A, CJK punctuation, a half- or full-width form."""
    code = ord(character)
    return 0x3400 <= code <= 0x4DBF or 0x4E00 <= code <= 0x9FFF or 0x3000 <= code <= 0x303F or 0xFF00 <= code <= 0xFFEF


def words_of_longen(text: str) -> int:
    count, inside = 0, False
    for character in text:
        if is_cjk(character):
            count, inside = count + 1, False
        elif character.isspace():
            inside = False
        elif not inside:
            count, inside = count + 1, True
    return count


def words_of_longbench_write(text: str) -> int:
    def latin(at: int) -> bool:
        return 0 <= at < len(text) and (("a" <= text[at] <= "z") or ("A" <= text[at] <= "Z"))

    def part_of_a_word(at: int) -> bool:
        return 0 <= at < len(text) and (text[at].isalnum() or text[at] == "_")

    count = at = 0
    while at < len(text):
        end = at
        while latin(end):
            end += 1
        count += end > at and not part_of_a_word(at - 1) and not part_of_a_word(end)
        count += 0x4E00 <= ord(text[at]) <= 0x9FFF
        at = max(end, at + 1)
    return count


def mixed(seed: int) -> str:
    rng = random.Random(seed)
    some = rng.sample(ALPHABETS, rng.randint(1, len(ALPHABETS)))
    return "".join("".join(rng.choices(rng.choice(some), k=rng.randint(1, 6))) for _ in range(rng.randint(0, 60)))


@pytest.mark.parametrize(("text", "longen", "longbench_write"), BY_HAND)
def test_words_are_counted_as_by_hand(text: str, longen: int, longbench_write: int) -> None:
    assert (count_words(text), count_words_latin_runs(text)) == (longen, longbench_write)
    assert (words_of_longen(text), words_of_longbench_write(text)) == (longen, longbench_write)


def test_words_of_500_mixed_texts_agree_with_the_definitions() -> None:
    for seed in range(500):
        text = mixed(seed)
        assert count_words(text) == words_of_longen(text), (seed, text)
        assert count_words_latin_runs(text) == words_of_longbench_write(text), (seed, text)


def demands(count: int) -> list[tuple[Kind, int | tuple[int, int], int]]:
    """Demands in hundreds of words, each with a number of written words: at the bounds, near them, far from them, or none."""
    rng, found = random.Random(4), []
    kinds: list[Kind] = ["about", "range", "above", "below"]
    for number in range(count):
        kind, length = kinds[number % 4], 100 * rng.randint(1, 100)
        demand = (length, length + 100 * rng.randint(1, 20)) if kind == "range" else length
        lower, upper = defined_bounds(kind, demand)
        words = rng.choice([0, int(lower), int(upper), int(lower) - 1, int(upper) + 1, rng.randint(0, int(2 * upper))])
        found.append((kind, demand, words))
    return found


def defined_bounds(kind: Kind, length: int | tuple[int, int]) -> tuple[Fraction, Fraction]:
    if isinstance(length, tuple):
        return Fraction(length[0]), Fraction(length[1])
    tenths = {"about": (8, 12), "above": (10, 15), "below": (5, 10)}[kind]
    return Fraction(tenths[0] * length, 10), Fraction(tenths[1] * length, 10)


def defined_score(words: int, lower: Fraction, upper: Fraction) -> Fraction:
    if lower <= words <= upper:
        return Fraction(1)
    return max(Fraction(0), 2 * words / lower - 1 if words < lower else 3 - 2 * words / upper)


def defined_s_l(words: int, required: int) -> Fraction:
    if words == 0:
        return Fraction(0)
    ratio = Fraction(words, required)
    return 100 * max(Fraction(0), 1 - (ratio - 1) / 3 if ratio > 1 else 1 - (1 / ratio - 1) / 2)


def test_length_scores_of_400_demands_agree_with_the_definitions() -> None:
    for kind, demand, words in demands(400):
        lower, upper = bounds(kind, demand)
        assert (lower, upper) == defined_bounds(kind, demand)
        assert length_score(words, lower, upper) == pytest.approx(float(defined_score(words, Fraction(lower), Fraction(upper))), abs=1e-12)
        required = demand if isinstance(demand, int) else demand[1]
        assert s_l(words, required) == pytest.approx(float(defined_s_l(words, required)), abs=1e-10)
