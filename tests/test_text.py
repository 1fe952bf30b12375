"""Words, paragraphs, repetition and the check, with worked examples."""

from __future__ import annotations

import pytest
from lengthen.common.config.stages import Check
from lengthen.common.text.check import Watch, check_text
from lengthen.common.text.paragraphs import first_half, first_two_thirds, split_paragraphs
from lengthen.common.text.rejection import Rejection
from lengthen.common.text.repetition import RepetitionCounter, repetition
from lengthen.common.text.words import count_words, count_words_latin_runs

LIMITS = Check(min_words=3)
NUMBERS = " ".join(f"word{n}" for n in range(200))


@pytest.mark.parametrize(
    ("text", "words", "latin_runs"),
    [
        ("", 0, 0),
        ("one two  three\nfour", 4, 4),
        ("It's state-of-the-art.", 2, 6),  # It, s, state, of, the, art
        ("你好,世界。", 6, 4),  # LonGen counts the full-width marks, LongBench-Write the ideographs
        ("我有 2 只 cats。", 6, 4),  # 我 有 只 。 + 2, cats | 我 有 只 + cats
        ("３個ＡＢ", 4, 1),  # each full-width character is a separate word
    ],
)
def test_both_counters_follow_the_benchmarks_definitions(text: str, words: int, latin_runs: int) -> None:
    assert (count_words(text), count_words_latin_runs(text)) == (words, latin_runs)


def test_paragraphs_split_at_blank_lines_and_at_the_breaks_of_long_lines_when_there_are_two_or_fewer() -> None:
    long = [f"{' '.join(f'{name}{n}' for n in range(20))}." for name in "abc"]
    assert split_paragraphs("a\n\nb\nb2\n \nc") == ["a", "b\nb2", "c"]
    assert split_paragraphs("a\n\nb\nc") == ["a", "b\nc"]
    assert split_paragraphs(f"{long[0]}\n\n{long[1]}\n{long[2]}") == long
    assert split_paragraphs("\n\na\n\n") == ["a"]


@pytest.mark.parametrize(("count", "half", "two_thirds"), [(1, 1, 1), (2, 1, 1), (3, 2, 2), (4, 2, 2), (5, 3, 3), (6, 3, 4), (9, 5, 6)])
def test_half_and_two_thirds_are_never_empty(count: int, half: int, two_thirds: int) -> None:
    text = "\n\n".join(f"p{n}" for n in range(count))
    assert len(split_paragraphs(first_half(text))) == half
    assert len(split_paragraphs(first_two_thirds(text))) == two_thirds


def test_repetition_is_the_share_of_units_inside_a_repeated_ngram() -> None:
    ten = " ".join(f"w{n}" for n in range(10))
    assert repetition(NUMBERS) == 0.0
    assert repetition(f"{ten} x {ten}") == pytest.approx(10 / 21)
    assert repetition(f"{ten} {ten} {ten}") == pytest.approx(20 / 30)
    # Two repeated 10-grams that overlap cover 11 units, not 20.
    assert repetition(f"{ten} w10 x {ten} w10") == pytest.approx(11 / 23)


def test_the_counter_gives_the_same_result_for_pieces_of_any_size() -> None:
    text = NUMBERS + " " + NUMBERS[:400]
    whole = RepetitionCounter()
    whole.feed(text)
    whole.finish()
    for size in (1, 3, 7, 50):
        pieces = RepetitionCounter()
        for start in range(0, len(text), size):
            pieces.feed(text[start : start + size])
        pieces.finish()
        assert (pieces.units, pieces.repeated, pieces.longest_run) == (whole.units, whole.repeated, whole.longest_run)


def test_the_watch_stops_a_loop_while_it_is_written_and_the_check_refuses_the_same_text() -> None:
    text = NUMBERS + " the same again" * 40 + "."
    watch, stopped_after = Watch(LIMITS, "en"), None
    for number, word in enumerate(text.split(" ")):
        if watch(word + " "):
            stopped_after = number
            break
    assert stopped_after is not None
    assert stopped_after < len(text.split(" ")) - 50
    refused = check_text(text, "stop", LIMITS, language="en")
    assert refused is not None and refused.reason == "loop"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("Two words.", "too_short"),
        ("This one just breaks off in the", "unfinished"),
        ("This one ends with a comma,", "unfinished"),
        ("As an AI, I can't write this text.", "meta_talk"),
        ("Here is the expanded version of it. It was a night.", "meta_talk"),
        ("Here is the full answer with details:\n\nIt was a night.", "meta_talk"),
        ("It was a night. Your entire response should be in English.", "meta_talk"),
        ("Text with <|im_end|> inside it.", "control_tokens"),
        ("Text with a \ufffd in it.", "garbled"),
        ("It says donâ€™t in this text.", "garbled"),
    ],
)
def test_a_refused_text_has_the_reason(text: str, reason: str) -> None:
    refused = check_text(text, "stop", LIMITS, language="en", control_tokens=frozenset({"<|im_end|>"}))
    assert refused is not None and refused.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "Here is the old house, and its answer to the wind.",
        "The conversion of the tower went well.",  # the reference refuses every "version"
        "She said: “That is all.”",
        "A table:\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "Steps to take:\n\n- mix the flour\n- bake the bread",
        "Code follows:\n\n```\nx = 1\n```",
        "**The end of this story.**",
        "Is it over now? (I think so.)",
    ],
)
def test_complete_texts_pass(text: str) -> None:
    assert check_text(text, "stop", LIMITS, language="en") is None


def test_a_text_cut_by_the_token_limit_is_refused_even_with_a_complete_ending() -> None:
    refused = check_text("A sentence that ends well.", "length", LIMITS, language="en")
    assert refused == Rejection("finish_reason", "length")


def test_one_repeated_ngram_in_a_long_text_is_accepted() -> None:
    sentence = "the old man and the sea went out to the far island."
    text = " ".join(f"word{n}" for n in range(2000)) + f" {sentence} {NUMBERS.replace('word', 'other')} {sentence}"
    assert check_text(text, "stop", LIMITS, language="en") is None
