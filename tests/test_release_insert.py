"""Inserting a demand into an instruction: at the most probable position, without other changes."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lengthen.augment.release.draw import draw_demand_of_kind
from lengthen.augment.release.insert import candidates, insert_demand
from lengthen.augment.release.phrasing import load_phrasing
from lengthen.augment.release.reading import read_demands
from lengthen.augment.release.row import load_demand_prompts
from lengthen.common.config.load import Config
from lengthen.common.engine.echo import EchoEngine
from lengthen.common.engine.protocol import Engine, Prompt
from lengthen.common.method.demand import KINDS, Demand, Kind

INSTRUCTIONS = {
    "en": [
        "Write a story about 12 bakers in 1984.",
        "You are a travel writer. Describe Lisbon: its 3.5 hills, its light.",
        "Explain tides",
        "Write a guide:\n\n- buying a boat\n- selling it",
        "“Why?” Answer that.",
        f"Discuss {300 * 'tea and '}salt.",
    ],
    "zh": ["写一篇关于1984年的小说，讲十二位面包师。", "你是医生。请解释潮汐", "写一份指南：\n\n- 买船\n- 卖船", f"谈{300 * '茶和'}盐。"],
}


class Preferring:
    """An engine that scores one text highest."""

    def __init__(self, best: str) -> None:
        self.best = best

    async def score(self, call: str, prompt: Prompt, texts: list[str]) -> list[float]:
        return [0.0 if text == self.best else -1.0 for text in texts]


def insert(engine: Any, instruction: str, demand: Demand, phrase: str, language: str) -> str | None:
    return asyncio.run(insert_demand(engine, instruction, demand, phrase, load_phrasing(language), load_demand_prompts(language).insert))


@pytest.mark.parametrize(
    ("language", "instruction", "best"),
    [
        ("en", "Write an essay on tides. Be fair.", "Write an essay of about 300 words on tides. Be fair."),
        ("en", "You are a doctor. Explain tides.", "You are a doctor. Explain tides in about 300 words."),
        ("en", "I'm a nurse. I'm tired. Write me a diary.", "I'm a nurse. I'm tired. Write me a diary in about 300 words."),
        ("zh", "写一篇小说。要有趣。", "写一篇约300字的小说。要有趣。"),
        ("zh", "介绍www.baidu.com网站", "介绍www.baidu.com网站，约300字"),
        ("zh", "第1.5节讲什么?请写。", "第1.5节讲什么?请写，约300字。"),
        ("zh", "写一篇小说。要有趣。", "写一篇小说，约300字。要有趣。"),
    ],
)
def test_the_most_probable_position_is_used(language: str, instruction: str, best: str) -> None:
    phrase = "about 300 words" if language == "en" else "约300字"
    assert insert(Preferring(best), instruction, Demand("about", 300), phrase, language) == best


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(INSTRUCTIONS)), st.sampled_from(KINDS), st.integers(20, 20_000), st.integers(0, 5), st.integers())
def test_nothing_else_changes_and_the_demand_can_be_read(language: str, kind: Kind, words: int, which: int, seed: int) -> None:
    rng = random.Random(seed)
    instruction = INSTRUCTIONS[language][which % len(INSTRUCTIONS[language])]
    demand, phrasing = draw_demand_of_kind(kind, words, rng), load_phrasing(language)
    phrase = phrasing.phrase(demand, rng)
    found = candidates(instruction, phrase, phrasing)
    assert 0 < len(found) <= 40
    insertions = [*phrasing.joined(phrase, "end"), *phrasing.joined(phrase, "inside")]
    assert all(instruction in {text.replace(insertion, "", 1) for insertion in insertions} for text in found)
    text = insert(Preferring(rng.choice(found)), instruction, demand, phrase, language)
    assert text in found and [other.demand for other in read_demands(text, language)] == [demand]


def test_a_demand_that_can_be_read_at_no_position_is_not_inserted() -> None:
    instruction = "A 500-word text on tides."  # has a demand already
    assert insert(Preferring(""), instruction, Demand("about", 300), "about 300 words", "en") is None


def test_echo_inserts_at_the_end_of_the_first_sentence() -> None:
    class Echo:
        engine: Engine = EchoEngine(Config.model_validate({"model": {"path": "none"}}, strict=False))

        async def score(self, call: str, prompt: Prompt, texts: list[str]) -> list[float]:
            return await self.engine.score(prompt, texts)

    text = insert(Echo(), "Explain tides. Be fair.", Demand("about", 300), "about 300 words", "en")
    assert text == "Explain tides in about 300 words. Be fair."
