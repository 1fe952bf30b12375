"""Repetition is counted in prose: what repeats by its nature is accepted, and a loop is stopped early at any length."""

from __future__ import annotations

import random

import prose
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lengthen.common.config.stages import Check
from lengthen.common.text.blocks import Kind, kinds
from lengthen.common.text.check import Watch, check_text
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.repetition import count_repetition, find_tail_loop, repeated_lines
from test_text_properties import LANGUAGE, cut, quick

LIMITS = Check(min_words=1)

CHORUS = {
    "en": "Oh, turn the wheel and let the water go,\nthe mill will grind whatever we may sow,\nthe stone is old, the stream is slow,\n"
    "so turn the wheel and let the water go.",
    "zh": "转吧，老水车，把流水送走，\n磨坊的石头陪我们到白头，\n种下什么，就收什么，\n转吧，老水车，莫要停留。",
}
VERSES = {
    "en": [
        "My father came in early spring\nwith nothing but a silver ring\nand sold it for a sack of rye,\nand never told my mother why.",
        "My sister learned to mend the net\nbefore the summer sun had set,\nand when the boats came home at four\n"
        "she stood and counted from the shore.",
        "Now I am grey and cannot run,\nbut every morning, one by one,\nthe children bring their sacks to me\n"
        "and ask me how it used to be.",
    ],
    "zh": [
        "父亲在早春走进村庄，\n口袋里只有一枚银光，\n换来一袋黑麦的种子，\n从来没有对母亲细讲。",
        "姐姐学会了修补渔网，\n夏天的太阳还没下山，\n四点钟小船靠岸的时候，\n她站在沙滩上一只只点。",
        "如今我的头发已经花白，\n再也跑不过门前的小孩，\n他们背着粮食来找我，\n问从前的日子是什么样。",
    ],
}
SAID = {
    "en": [
        "Did you lock the gate?",
        "I locked it at noon.",
        "Then who has opened it?",
        "Ask the wind, or ask your brother.",
        "He is asleep.",
    ],
    "zh": ["你锁门了吗？", "中午就锁好了。", "那又是谁打开的呢？", "问问风，或者问问你的弟弟。", "他早就睡着了。"],
}
CODE = (
    "def area(width, height):\n    if width < 0 or height < 0:\n        raise ValueError('a side is negative')\n\n    return width * height"
)


def song(language: str) -> str:
    first, second, third = VERSES[language]
    return "\n\n".join([first, CHORUS[language], second, CHORUS[language], third, CHORUS[language]])


def script(language: str, rng: random.Random) -> str:
    names = {"en": ("MARTHA", "**Old Tom (aside)**", "Second Watchman"), "zh": ("老师", "**小梅（低声）**", "更夫")}[language]
    colon = {"en": ":", "zh": "："}[language]
    return "\n\n".join(f"{rng.choice(names)}{colon} {rng.choice(SAID[language])}" for _ in range(12))


def screenplay(rng: random.Random) -> str:
    return "\n\n".join(f"{rng.choice(['MARTHA', 'OLD TOM (CONT’D)'])}\n{rng.choice(SAID['en'])}" for _ in range(12))


def listing(fence: str) -> str:
    return f"{fence}python\n{CODE}\n{fence}"


TABLE = "| Day | Rain | Wind |\n|---|---|---|\n" + "\n".join(
    f"| {day} | none, as in the week before | weak |" for day in ("Mon", "Tue") * 6
)
MATHS = "\n\n".join(["$$\n\\sum_{k=1}^{n} k = \\frac{n (n + 1)}{2} = a + b + c + d + e\n$$"] * 8)
INLINE = "\n\n".join(f"{start} \\( a_1 + a_2 + a_3 + a_4 + a_5 + a_6 + a_7 \\) again." for start in ("We add", "Now take", "So we find"))


def passage(language: str, size: int, seed: int) -> list[str]:
    """Paragraphs of prose with about `size` words or characters."""
    return (prose.english if language == "en" else prose.chinese)(size, 1, seed)[0]


def natural(language: str) -> dict[str, str]:
    """Texts of each kind that repeats by its nature, within prose."""
    rng = random.Random(4)
    long, short = passage(language, 8000, 1), passage(language, 900, 2)
    letter = "\n\n".join(passage(language, 160, 3))
    kinds = {
        "song": [song(language)],
        "song in a story": [*short, song(language), *passage(language, 400, 5)],
        "script": [script(language, rng), *short],
        "listing printed twice": [*short, listing("```"), *passage(language, 300, 6), listing("~~~"), letter],
        "table": [*short, TABLE, letter],
        "formulas": [*short, MATHS, INLINE if language == "en" else "", letter],
        "letter quoted again": [*long[:4], letter, *long[4:], letter],
        "frame": [letter, *long, letter],
        "refrain": [part for number, paragraph in enumerate(long) for part in (paragraph, *[CHORUS[language]] * (number % 10 == 0))],
    }
    return {kind: "\n\n".join(part for part in parts if part) for kind, parts in kinds.items()}


def refused(text: str, language: str) -> str | None:
    found = check_text(text, "stop", LIMITS, language=language)
    return f"{found.reason}: {found.detail}" if found and found.reason in ("loop", "repetition", "repeated_lines") else None


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_repeats_by_its_nature_is_accepted(language: str) -> None:
    assert {kind: found for kind, text in natural(language).items() if (found := refused(text, language))} == {}


def test_a_screenplays_names_are_no_repeated_lines() -> None:
    text = "\n\n".join(f"{name}\nIt was {number}, I said." for number, name in enumerate(["MARTHA", "OLD TOM (CONT’D)", "**Anna**"] * 5))
    assert repeated_lines(text) == 0
    assert find_tail_loop(text) is None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("words", [300, 1000, 4000, 10_000])
@pytest.mark.parametrize("period", [1, 7, 30, 100])
def test_a_loop_is_stopped_after_its_second_copy_at_any_length(language: str, words: int, period: int) -> None:
    """Within 100 words and 1 % of the text, and what the watch reads at once."""
    before, n = "\n\n".join(passage(language, words, 1)), LANGUAGES[language].ngram
    unit = (lambda k: f"word{k} ") if language == "en" else (lambda k: chr(0x5000 + k))
    loop = "".join(map(unit, range(period)))
    watch, written = Watch(LIMITS, language), before + "\n\n"
    assert watch(written) is None
    copies = 0
    while not watch(loop):
        copies += 1
        assert copies * period < 2 * period + 10 * n + 0.01 * 1.5 * words + 300
    assert refused(written + loop * (copies + 1), language)


@pytest.mark.parametrize(
    "loop", ["HA HA HA\n", "Anna:\n", "**Tom**\n\n", "| a | b | c |\n", "Anna: yes\n", "```\nx = 1\n```\n", "So it goes on.\n", "- one\n"]
)
def test_a_loop_of_what_is_left_out_is_found_too(loop: str) -> None:
    before = "\n\n".join(passage("en", 300, 1)) + "\n\n"
    assert refused(before + loop * 300, "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_that_is_written_twice_is_refused(language: str) -> None:
    poem = "\n\n".join(VERSES[language])
    for text in ("\n\n".join(passage(language, 300, 1)), poem, script(language, random.Random(1)) + "\n\n" + poem):
        assert refused(f"{text}\n\n{text}\n\n{text}", language), text
    assert refused("\n\n".join(passage(language, 300, 1) * 2), language)


def mixture(language: str, seed: int) -> str:
    """Prose with refrains, scripts, code, tables, formulas and quoted letters, and sometimes a loop, in any order."""
    rng = random.Random(seed)
    paragraphs = passage(language, 1500, rng.randrange(9))
    parts = [song(language), script(language, rng), screenplay(rng), listing("```"), listing("~~~"), TABLE, MATHS, INLINE, CHORUS[language]]
    parts += [rng.choice(paragraphs), "\n\n".join(paragraphs[:4]), *paragraphs[: rng.randrange(1, len(paragraphs))]]
    chosen = rng.choices(parts, k=rng.randrange(1, 30))
    if rng.random() < 0.5:
        chosen.insert(rng.randrange(len(chosen)), rng.choice([" ", "\n", "\n\n"]).join([rng.choice(parts)] * rng.randrange(2, 12)))
    text = rng.choice(["\n\n", "\n\n", "\n"]).join(chosen)
    return text[: rng.randrange(len(text))] if rng.random() < 0.2 else text


@quick
@given(LANGUAGE, st.integers(0, 10**6), st.integers(0, 100))
def test_the_watch_stops_nothing_that_the_check_accepts(language: str, text_seed: int, cut_seed: int) -> None:
    text = mixture(language, text_seed)
    watch, written, stopped = Watch(LIMITS, language), "", None
    for piece in cut(text, cut_seed):
        written += piece
        if stopped := watch(piece):
            break
    for finished in (written, text) if stopped else ():
        assert refused(finished, language)


def test_the_mixtures_are_both_stopped_and_accepted_and_have_all_kinds() -> None:
    texts = [mixture("en", seed) for seed in range(60)]
    stopped = sum(Watch(LIMITS, "en")(text) is not None for text in texts)
    assert 6 < stopped < 54
    assert 6 < sum(refused(text, "en") is None for text in texts) < 54
    assert {kind for text in texts for kind, _ in kinds(text)} == set(Kind)


@quick
@given(LANGUAGE, st.integers(0, 10**6), st.integers(0, 100))
def test_the_counter_reads_blocks_and_refrains_alike_in_pieces(language: str, text_seed: int, cut_seed: int) -> None:
    text, n = mixture(language, text_seed), LANGUAGES[language].ngram
    counter, whole = count_repetition("", n), count_repetition(text, n)
    for piece in cut(text, cut_seed):
        counter.feed(piece)
    counter.finish()
    for name in ("units", "repeated", "longest_run", "longest_loop", "highest_rate"):
        assert getattr(counter, name) == getattr(whole, name)


def test_the_counts_of_a_watch_serve_the_check_of_its_whole_text_and_of_no_other() -> None:
    rng = random.Random(4)
    texts = [(name, text) for name in ("en", "zh") for text in (song(name), script(name, rng), CODE)]
    for language, text in texts:
        watch, rest = Watch(LIMITS, language), f"  \n{text}\n"
        while rest:
            size = rng.randrange(1, 400)
            watch(rest[:size])
            rest = rest[size:]
        fresh = count_repetition(text, LANGUAGES[language].ngram)
        assert watch.counter_of(text[:-1]) is None
        counted = watch.counter_of(text)
        assert counted is not None
        assert (counted.units, counted.repeated, counted.longest_loop) == (fresh.units, fresh.repeated, fresh.longest_loop)
