"""Properties of any text (words, paragraphs, the check and its watch) and of any rows (selection, ids, seeds)."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lengthen.common.config.stages import Check
from lengthen.common.method.ids import attempt_seed, row_id
from lengthen.common.method.selection import selected
from lengthen.common.text.check import REASONS, Watch, check_text
from lengthen.common.text.languages import LANGUAGES, detect, foreign_share, script_units
from lengthen.common.text.paragraphs import first_half, first_two_thirds, join_paragraphs, split_paragraphs
from lengthen.common.text.prompt_text import check_prompt_text
from lengthen.common.text.repetition import RepetitionCounter, count_repetition, repeated_lines
from lengthen.common.text.words import count_words, count_words_latin_runs, units

quick = settings(max_examples=120, deadline=None, derandomize=True, database=None)

LANGUAGE = st.sampled_from(sorted(LANGUAGES))
LIMITS = Check(min_words=1, loop_words=20)
# Any code points, including lone surrogates, and typical pieces of Markdown, damaged streams and both languages.
ANYTHING = st.text(st.characters(), max_size=300)
PARTS = [
    "a", "b.", "the", "|---|", "|", "```", "~~~", "#", "-", "1.", "[^1]", "](x)", "**", "。", "，", "你好", "好的。", "“", "”", "…", "😊",
    "\t", "\N{REPLACEMENT CHARACTER}", chr(0xD800), "Ã©", "https://a.b/c", "<|im_end|>", "Here is the answer",
]  # fmt: skip
PIECES = st.lists(st.sampled_from([*PARTS, " ", "\n", "\n\n", "\n \n\n", "word "]), max_size=80).map("".join)
TEXT = st.one_of(ANYTHING, PIECES)
PARAGRAPH = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=20)


def sentences(seed: int, loops: bool) -> str:
    """Prose of random words from a small or a large vocabulary; with `loops`, some runs of words are repeated."""
    rng = random.Random(seed)
    size = rng.choice([3, 30, 3000])
    words = [rng.choice(["w{}", "字{}", "{}好"]).format(rng.randrange(size)) for _ in range(rng.randrange(20, 400))]
    words = [word + rng.choice([" ", " ", " ", "", "\n", "。"]) for word in words]
    if loops:
        for _ in range(rng.randrange(1, 6)):
            start = rng.randrange(len(words))
            words[start:start] = words[start : start + rng.randrange(1, 60)] * rng.randrange(1, 12)
    return "".join(words)


PROSE = st.builds(sentences, st.integers(0, 10**6), st.booleans())


def cut(text: str, seed: int) -> list[str]:
    rng, pieces, start = random.Random(seed), [], 0
    longest = rng.choice([1, 4, 40, 2000])
    while start < len(text):
        end = start + rng.randint(1, longest)
        pieces.append(text[start:end])
        start = end
    return pieces


@quick
@given(TEXT, TEXT)
def test_words_of_two_texts_with_space_between_add_up(first: str, second: str) -> None:
    assert count_words(first + "\n" + second) == count_words(first) + count_words(second)
    assert count_words_latin_runs(first + "\n" + second) == count_words_latin_runs(first) + count_words_latin_runs(second)
    assert units(first + "\n" + second) == units(first) + units(second)


@quick
@given(TEXT)
def test_units_have_every_visible_character_once(text: str) -> None:
    assert "".join(units(text)) == "".join(piece.lower() for piece in text.split() for piece in units(piece))
    assert sum(map(len, units(text.swapcase().upper()))) <= 3 * len(text)  # some letters have longer forms in the other case
    assert all(not unit.isspace() and unit for unit in units(text))


@quick
@given(st.lists(PARAGRAPH, min_size=3, max_size=12))
def test_joined_paragraphs_are_split_into_the_same_paragraphs(paragraphs: list[str]) -> None:
    assert split_paragraphs(join_paragraphs(paragraphs)) == paragraphs


@quick
@given(TEXT)
def test_splitting_and_joining_changes_only_white_space_and_is_idempotent(text: str) -> None:
    joined = join_paragraphs(split_paragraphs(text))
    assert "".join(joined.split()) == "".join(text.split())
    assert count_words(joined) == count_words(text)
    assert join_paragraphs(split_paragraphs(joined)) == joined
    for part in (first_half(text), first_two_thirds(text)):
        assert joined.startswith(part) and bool(part) == bool(text.strip())


@quick
@given(TEXT, st.sampled_from(["stop", "length", "loop", "repetition", "abort"]), LANGUAGE, st.one_of(st.none(), TEXT))
def test_the_check_never_raises_and_returns_one_of_its_reasons(text: str, finish: str, language: str, prompt: str | None) -> None:
    found = check_text(text, finish, LIMITS, language=language, control_tokens=frozenset({"<|im_end|>"}), prompt=prompt)
    assert found is None or (found.reason in REASONS and found.detail)
    assert check_prompt_text(text, frozenset()) is None or check_prompt_text(text, frozenset()).reason == "garbled"  # type: ignore[union-attr]
    assert 0 <= foreign_share(script_units(text), language) <= 1 and 0 <= repeated_lines(text) <= 1
    assert detect(text) is None or len(detect(text) or "") == 2


@quick
@given(st.one_of(TEXT, PROSE), st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=30), LANGUAGE)
def test_any_text_with_a_loop_at_the_end_is_refused(text: str, loop: str, language: str) -> None:
    n = LANGUAGES[language].ngram
    times = math.ceil((LIMITS.loop_words * n // 10 + n) / len(units(loop))) + 2
    looped = text + f" {loop}" * times
    assert count_repetition(looped, n).longest_loop >= count_repetition(text, n).longest_loop
    assert check_text(looped, "stop", LIMITS, language=language) is not None


@quick
@given(PROSE, LANGUAGE, st.integers(0, 100))
def test_the_counter_is_independent_of_the_size_of_the_pieces(text: str, language: str, seed: int) -> None:
    n = LANGUAGES[language].ngram
    counter = RepetitionCounter(n)
    for piece in cut(text, seed):
        counter.feed(piece)
    counter.finish()
    whole = count_repetition(text, n)
    seen = ("units", "repeated", "longest_run", "longest_loop", "highest_rate")
    assert [getattr(counter, name) for name in seen] == [getattr(whole, name) for name in seen]


def counted_by_definition(text: str, n: int) -> tuple[int, int, int]:
    """Units of prose, repeated units and their longest run, from the definition, in quadratic time."""
    found = units(text)
    repeated = [False] * len(found)
    for end in range(n, len(found) + 1):
        gram = found[end - n : end]
        if any(found[before : before + n] == gram for before in range(end - n)):
            repeated[end - n : end] = [True] * n
    runs = "".join("x" if one else " " for one in repeated).split()
    return len(found), sum(repeated), max(map(len, runs), default=0)


@settings(quick, max_examples=40)
@given(PROSE, LANGUAGE)
def test_the_counter_agrees_with_the_definition(text: str, language: str) -> None:
    n = LANGUAGES[language].ngram
    one_line = text[:600].replace("\n", " ")  # short lines may be refrains
    counter = count_repetition(one_line, n)
    assert (counter.units, counter.repeated, counter.longest_run) == counted_by_definition(one_line, n)


@settings(quick, max_examples=300)
@given(PROSE, LANGUAGE, st.integers(0, 100), st.sampled_from([0.02, 0.05, 0.2]))
def test_the_check_refuses_every_text_that_the_watch_stopped(text: str, language: str, seed: int, bound: float) -> None:
    limits = Check(min_words=1, loop_words=20, max_repetition=bound)
    watch, written, stopped = Watch(limits, language), "", None
    for piece in cut(text, seed):
        written += piece
        if stopped := watch(piece):
            break
    if stopped:
        for finished in (written, text):  # what the engine returns, and what it would have written
            found = check_text(finished, "stop", limits, language=language)
            assert found is not None and found.reason in ("loop", "repetition")
            assert check_text(finished, stopped, limits, language=language) == found
    else:
        found = check_text(text, "stop", limits, language=language)
        at_the_end = watch(" " * 300)  # the watch now checks all buffered text
        assert found is None or found.reason != "loop" or at_the_end == "loop"


def test_the_strategy_gives_both_stopped_and_accepted_texts() -> None:
    """The test above would be useless with a strategy that never repeats words."""
    verdicts = [count_repetition(sentences(seed, loops=True)).longest_loop >= 20 for seed in range(100)]
    assert 10 < sum(verdicts) < 90


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_selection_of_random_lengths_is_independent_of_the_order(seed: int) -> None:
    rng = random.Random(seed)
    lengths = {row_id("generate", 1, str(n), 0): rng.randrange(10**6) for n in range(10_000)}
    rows = [(row, "en", length) for row, length in lengths.items()]
    used = selected(rows, seed)
    assert len(used) / len(rows) == pytest.approx(0.595, abs=0.02)
    rng.shuffle(rows)
    assert selected(rows, seed) == used
    shortest = sorted(rows, key=lambda row: (row[2], row[0]))[: round(0.2 * len(rows))]
    assert not used & {row for row, _, _ in shortest}


@quick
@given(st.lists(st.tuples(st.text(max_size=9), st.integers(0, 9)), min_size=1, max_size=20, unique=True), st.integers(1, 5), st.randoms())
def test_ids_and_seeds_are_the_same_in_any_order_and_any_shard(rows: list[tuple[str, int]], shards: int, rng: random.Random) -> None:
    def ids_and_seeds(some: list[tuple[str, int]]) -> dict[tuple[str, int], tuple[str, int]]:
        ids = {row: row_id("expand", 2, *row) for row in some}
        return {row: (name, attempt_seed(7, name, 1)) for row, name in ids.items()}

    together = ids_and_seeds(rows)
    shuffled = list(rows)
    rng.shuffle(shuffled)
    apart = {row: value for shard in range(shards) for row, value in ids_and_seeds(shuffled[shard::shards]).items()}
    assert apart == together
    assert len({name for name, _ in together.values()}) == len(rows)
    assert all(0 <= seed < 2**31 for _, seed in together.values())
