"""The check's error rates on good prose, and on the same prose looping or cut.

What the texts are stands in `prose`.
"""

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
LENGTHS = (1000, 2000, 4000, 8000)
SENTENCE_END = re.compile(r"(?<=[.!?。！？])[\"')]*\s*")


def checked(text: str, language: str) -> Rejection | None:
    prompt = load_extend_prompt("en").template.template
    return check_text(text, "stop", LIMITS, language=language, prompt=prompt)


def looping(paragraphs: list[str], dice: random.Random) -> str:
    """One of: the last sentence 40 times, the last paragraph 20 times, a paragraph of the middle three times."""
    text = "\n\n".join(paragraphs)
    sentence = [part for part in SENTENCE_END.split(paragraphs[-1]) if re.search(r"\w", part)][-1]
    middle = dice.choice([paragraph for paragraph in paragraphs if len(paragraph) >= 250] or [text])
    return text + dice.choice([f" {sentence}" * 40, f"\n\n{paragraphs[-1]}" * 20, f"\n\n{middle}" * 3])


def cut(paragraphs: list[str], dice: random.Random) -> str:
    """The text up to a letter, a digit, a comma or a dash somewhere in its second half: within a word, or between two."""
    text = "\n\n".join(paragraphs)
    while True:
        beginning = text[: dice.randrange(len(text) // 2, len(text))].rstrip()
        if beginning[-1].isalnum() or beginning[-1] in ",;:-，；：、":
            return beginning


def error_rates(texts: list[list[str]], language: str, seed: int) -> dict[str, list[str]]:
    """What went wrong: good texts refused, looping ones accepted or refused for another reason, cut ones accepted."""
    dice, wrong = random.Random(seed), {"good": [], "looping": [], "cut": []}
    for paragraphs in texts:
        if found := checked("\n\n".join(paragraphs), language):
            wrong["good"].append(str(found))
        found = checked(looping(paragraphs, dice), language)
        if found is None or found.reason not in ("loop", "repetition", "repeated_lines"):
            wrong["looping"].append(str(found))
        broken = cut(paragraphs, dice)
        if find_unfinished_end(broken, language) is None:  # the check's last question: what it answers refuses the text
            wrong["cut"].append(broken[-60:])
    return wrong


@pytest.mark.parametrize("words", LENGTHS)
def test_good_english_prose_passes_and_its_loops_and_cuts_do_not(words: int) -> None:
    """Measured, of 1,200 each: no good text refused, one looping text accepted (one word 40 times, at the bound), no cut one."""
    texts = prose.english(words, TEXTS, seed=words)
    wrong = error_rates(texts, "en", words)
    assert {name: cases[:5] for name, cases in wrong.items() if len(cases) >= 0.01 * TEXTS} == {}


@pytest.mark.parametrize("characters", LENGTHS)
def test_composed_chinese_passes_and_its_loops_and_cuts_do_not(characters: int) -> None:
    """Measured: 0 of 40 wrong in each of the three, at every length."""
    wrong = error_rates(prose.chinese(characters, 40, seed=characters), "zh", characters)
    assert {name: cases[:5] for name, cases in wrong.items() if len(cases) >= 1} == {}


def test_a_cut_text_is_refused_as_unfinished() -> None:
    dice = random.Random(1)
    reasons = {found and found.reason for found in (checked(cut(text, dice), "en") for text in prose.english(1000, 50, seed=1))}
    assert reasons == {"unfinished"}
