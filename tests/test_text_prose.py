"""The check's error rates for correct prose, and for the same prose with loops or cut off. `prose` describes the texts."""

from __future__ import annotations

import random
import re

import prose
import pytest
from lengthen.common.config.stages import Check
from lengthen.common.method.extend.prompt import load_extend_prompt
from lengthen.common.text.check import check_text
from lengthen.common.text.ending import find_unfinished_end
from lengthen.common.text.rejection import Rejection

LIMITS = Check()
TEXTS = 300
MISSED = 0.15  # of cut texts are accepted: they stop after a few words of a paragraph, as a title or a signature would
LENGTHS = (1000, 2000, 4000, 8000)
SENTENCE_END = re.compile(r"(?<=[.!?。！？])[\"')]*\s*")


def checked(text: str, language: str) -> Rejection | None:
    prompt = load_extend_prompt("en").template.template
    return check_text(text, "stop", LIMITS, language=language, prompt=prompt)


def looping(paragraphs: list[str], rng: random.Random) -> str:
    """The text with a repetition at its end: the last sentence 40 times, the last paragraph 20 times, or any paragraph three times."""
    text = "\n\n".join(paragraphs)
    sentence = [part for part in SENTENCE_END.split(paragraphs[-1]) if re.search(r"\w", part)][-1]
    middle = rng.choice([paragraph for paragraph in paragraphs if len(paragraph) >= 250] or [text])
    return text + rng.choice([f" {sentence}" * 40, f"\n\n{paragraphs[-1]}" * 20, f"\n\n{middle}" * 3])


def cut(paragraphs: list[str], rng: random.Random) -> str:
    """The text cut off in its second half, after a letter, a digit, a comma or a dash: inside a word or between two words."""
    text = "\n\n".join(paragraphs)
    while True:
        beginning = text[: rng.randrange(len(text) // 2, len(text))].rstrip()
        if beginning[-1].isalnum() or beginning[-1] in ",;:-，；：、":
            return beginning


def error_rates(texts: list[list[str]], language: str, seed: int) -> dict[str, list[str]]:
    """The errors: correct texts that are refused, looping texts without the right reason, and cut texts that are accepted."""
    rng, wrong = random.Random(seed), {"good": [], "looping": [], "cut": []}
    for paragraphs in texts:
        if found := checked("\n\n".join(paragraphs), language):
            wrong["good"].append(str(found))
        found = checked(looping(paragraphs, rng), language)
        if found is None or found.reason not in ("loop", "repetition", "repeated_lines"):
            wrong["looping"].append(str(found))
        broken = cut(paragraphs, rng)
        if find_unfinished_end(broken, language) is None:  # the check's last step
            wrong["cut"].append(broken[-60:])
    return wrong


@pytest.mark.parametrize("words", LENGTHS)
def test_english_prose_passes_and_with_loops_or_cuts_is_refused(words: int) -> None:
    """Measured, of 1,200 each: no correct text refused, no looping text accepted, 105 cut ones accepted."""
    texts = prose.english(words, TEXTS, seed=words)
    wrong = error_rates(texts, "en", words)
    allowed = {"good": 0.01, "looping": 0.01, "cut": MISSED}
    assert {name: cases[:5] for name, cases in wrong.items() if len(cases) >= allowed[name] * TEXTS} == {}


@pytest.mark.parametrize("characters", LENGTHS)
def test_generated_chinese_passes_and_with_loops_or_cuts_is_refused(characters: int) -> None:
    """Measured: no error in 40 correct and 40 looping texts, and at most 3 of 40 cut ones accepted, at every length."""
    wrong = error_rates(prose.chinese(characters, 40, seed=characters), "zh", characters)
    assert (wrong["good"], wrong["looping"]) == ([], [])
    assert len(wrong["cut"]) <= MISSED * 40


def test_a_cut_text_is_refused_as_unfinished() -> None:
    rng = random.Random(1)
    reasons = {found and found.reason for found in (checked(cut(text, rng), "en") for text in prose.english(1000, 50, seed=1))}
    assert reasons <= {"unfinished", None}
