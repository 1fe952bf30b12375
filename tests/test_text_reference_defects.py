"""Errors of the reference's check (algorithm.md, the last table), one test for each row.

Each test shows that the reference's rule, written here from its description, fails for a text, and that our check decides
correctly.
"""

from __future__ import annotations

import random
import re

import prose
import pytest
from lengthen.common.config.stages import Check
from lengthen.common.text.check import check_text

LIMITS = Check(min_words=1)
TABLE = "The costs of a year:\n\n| month | cost |\n|---|---|\n| May | 12 |\n| June | 14 |"
CODE = "The shortest program is this one:\n\n```python\nprint('hello')\n\n\n\nprint('again')\n```"


def reference_accepts_the_ending(text: str, language: str) -> bool:
    """The last character is in a fixed set of closing marks, one set for each language."""
    return text[-1] in {"en": ".,!?\"'", "zh": "。！？”…"}[language]


def reference_finds_a_repeat(text: str, language: str) -> bool:
    """Some n-gram occurs twice: of 10 words in English, of 13 units in Chinese (a non-ASCII character or an ASCII run)."""
    found, n = (text.split(), 10) if language == "en" else (re.findall(r"[^\x00-\x7f]|[\x00-\x7f]+", text), 13)
    grams = list(zip(*(found[start:] for start in range(n)), strict=False))
    return len(set(grams)) < len(grams)


def reference_finds_meta_talk(text: str) -> bool:
    """One of five words in the first two or the last three lines, as a substring in lower case."""
    lines = text.split("\n")
    return any(word in line for line in lines[:2] + lines[-3:] for word in ("revised", "revision", "response", "version", "paragraph"))


def reference_stops_at(text: str) -> str:
    """The text up to the first `---` or three newlines, which end the generation."""
    return re.split(r"---|\n\n\n", text)[0]


def ours(text: str, language: str = "en") -> str | None:
    found = check_text(text, "stop", LIMITS, language=language)
    return found.reason if found else None


def test_the_reference_refuses_any_text_with_a_repeated_ngram() -> None:
    """Long texts repeat some phrases. The longer the texts from the books, the more of them the reference refuses."""
    refused = {}
    for words in (1000, 8000):
        texts = ["\n\n".join(text) for text in prose.english(words, 60, seed=words)]
        refused[words] = [text for text in texts if reference_finds_a_repeat(text, "en")]
        assert [ours(text) for text in refused[words]] == [None] * len(refused[words])
    assert len(refused[8000]) > 3 * len(refused[1000]) and len(refused[8000]) >= 6


def test_the_reference_refuses_any_chinese_text_with_a_repeated_ngram() -> None:
    refrain = "山高月小水落石出的那个夜晚我们都还年轻。"
    first, second = ("\n\n".join(text) for text in prose.chinese(3000, 2, seed=1))
    text = f"{first}\n\n{refrain}\n\n{second}\n\n{refrain}"
    assert reference_finds_a_repeat(text, "zh") and ours(text, "zh") is None


def test_a_loop_is_refused() -> None:
    text = " ".join(f"word{n}" for n in range(2000)) + " and so it goes on and on." * 30
    assert reference_finds_a_repeat(text, "en") and ours(text) == "loop"


def test_the_references_chinese_rule_refuses_every_english_sentence() -> None:
    text = "这首歌的最后一句歌词我至今记得很清楚，是这样唱的：The night is young and so are we."
    assert not reference_accepts_the_ending(text, "zh") and ours(text, "zh") is None
    english = "It rained all night, and in the morning the road was gone."
    assert not reference_accepts_the_ending(english, "zh") and ours(english, "en") is None


@pytest.mark.parametrize("text", ["They bought bread, apples, wine,", "It was late when he came home, and,"])
def test_the_references_english_rule_accepts_a_comma_at_the_end(text: str) -> None:
    assert reference_accepts_the_ending(text, "en") and ours(text) == "unfinished"


@pytest.mark.parametrize("text", [TABLE, CODE, "Things to buy:\n\n- bread\n- apples", "The man said **stop.**", "He said (I think) no.)"])
def test_the_references_english_rule_refuses_markdown(text: str) -> None:
    assert not reference_accepts_the_ending(text, "en") and ours(text) is None


@pytest.mark.parametrize("text", [TABLE, CODE])
def test_the_references_stop_strings_cut_tables_and_code(text: str) -> None:
    left = reference_stops_at(text)
    assert left != text and ours(text) is None
    assert ours(left.rstrip()) == "unfinished"  # our check refuses the rest as unfinished


@pytest.mark.parametrize(
    "text",
    [
        "The conversion of the old tower into flats took nine years.",
        "Her immunity grew with each response of the body to the vaccine.",
        "The first paragraph of the treaty names the river as the border.",
        "A subversion of the genre, the film was a success in its day.",
        "The Revised Version of the Bible was published between 1881 and 1894.",
    ],
)
def test_the_references_stop_words_refuse_ordinary_words(text: str) -> None:
    assert reference_finds_meta_talk(text.lower()) and ours(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Revised Version:\n\nThe night was cold, and nobody was on the road.",
        "**Expanded Version**\n\nThe night was cold, and nobody was on the road.",
        "Here is the Expanded Draft of it.\n\nThe night was cold, and nobody was on the road.",
        "As an AI, I don't sleep, but I can tell of it. The night was cold.",
        "The night was cold, and nobody was on the road.\n\nI hope this helps! Let me know if you want more.",
    ],
)
def test_meta_talk_in_capitals_or_other_words_passes_the_reference(text: str) -> None:
    assert not reference_finds_meta_talk(text) and ours(text) == "meta_talk"


def gibberish(seed: int) -> str:
    rng = random.Random(seed)
    return " ".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 11))) for _ in range(300)) + "."


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The r\ufffdver was high, and the men had to carry the boat.", "en"),
        ("The man didnâ€™t come home before the end of the war.", "en"),
        ("The cafÃ© was closed, and so they had to walk home again.", "en"),
        ("The river was high, \x00 and the men had to carry the boat.", "en"),
        ("The river was high, \ud83d and the men had to carry the boat.", "en"),
        ("那年春天河水涨得很高，锟斤拷锟斤拷，村里的人只好走过桥去。", "zh"),
        ("那年春天河水涨得很高，村里的人只好走过桥去。".encode().decode("latin-1"), "zh"),
        *((gibberish(seed), "en") for seed in range(5)),
    ],
)
def test_garbled_text_passes_the_reference(text: str, language: str) -> None:
    assert not reference_finds_a_repeat(text, language) and not reference_finds_meta_talk(text)
    assert ours(text, language) == "garbled"
