"""Instructions that demand a length themselves are found, in every form."""

from __future__ import annotations

import re

import pytest
from lengthen.augment.own_demand import demands_length

SHORT = [
    ("Write a haiku about rain.", "a haiku"),
    ("Haiku about an old pond", "Haiku"),
    ("Write me a funny limerick about a goat.", "a funny limerick"),
    ("Compose two sonnets.", "two sonnets"),
    ("Turn this letter into a tweet.", "a tweet"),
    ("Write a slogan for a bakery.", "a slogan"),
    ("Describe a lamp in one sentence.", "in one sentence"),
    ("In a few sentences, describe a lamp.", "In a few sentences"),
    ("Summarise the play in ten words.", "in ten words"),
    ("Explain rain in 50 words.", "in 50 words"),
    ("Write a short paragraph about lamps.", "a short paragraph"),
    ("Write a six-word story.", "six-word"),
    ("Write a two-sentence horror story.", "two-sentence"),
    ("Write a one-page memo.", "one-page"),
    ("Write three pages about lamps.", "three pages"),
    ("Describe a lamp in under 500 characters.", "under 500 characters"),
    ("Write a poem of twelve lines.", "of twelve lines"),
    ("Write a 300-word description of a lamp.", "300-word"),
    ("Write a five-minute speech for a wedding.", "five-minute speech"),
    ("写一首七言绝句，主题是秋天。", "一首七言绝句"),
    ("写一首关于雨的五言诗。", "一首关于雨的五言诗"),
    ("写俳句。", "写俳句"),
    ("用一句话介绍潮汐。", "用一句话"),
    ("Answer briefly.", "Answer briefly"),
    ("Write two limericks about tea.", "two limericks"),
    ("写一篇小短文。", "小短文"),
    ("写两段话介绍潮汐。", "两段话"),
    ("发一条微博。", "一条微博"),
    ("写一则不超过五百字的寓言。", "不超过五百字"),
    ("写一副对联。", "一副对联"),
    ("写一个笑话。", "一个笑话"),
    ("写三页的报告。", "三页"),
    ("用140个字符以内介绍茶。", "140个字符以内"),
    ("写一篇三分钟的演讲稿。", "三分钟的演讲"),
]
LONG = [
    *("Write a novel about a harbour.", "Write a two-act play.", "Write a five-part series on tea.", "Write a saga with 100 characters."),
    *("Write a detailed guide with ten steps.", "Write a letter about haiku poets.", "Write a short story about a keeper."),
    *("Write an essay on the history of the limerick.", "Write a guide on how to write a haiku.", "Write a novel in ten chapters."),
    *("Write a story that starts with a joke.", "Write a detailed essay on jokes in Shakespeare.", "Write a brief history of tea."),
    *("Write an epistolary novel in the form of text messages.", "Write a long poem in rhyming couplets.", "Write a joke-filled speech."),
    *("Create a marketing plan for a bakery with a slogan and a calendar.", "写一份市场营销方案，包含一句口号。"),
    *("Write a story about three pages of a lost diary.", "Write about a typist who types 100 words a minute."),
    *("写一部长篇小说。", "写一个两幕话剧。", "写一份详细的指南，分十个步骤。", "写一篇关于俳句诗人的信。", "写一篇短篇小说。"),
    *("写一篇关于绝句的论文。", "主角因为一句话改变了一生，写成小说。", "写一段爱情故事。", "写一首长诗。", "写一篇论文，题目自拟。"),
]


@pytest.mark.parametrize(("text", "found"), SHORT)
def test_a_length_of_any_form_is_found(text: str, found: str) -> None:
    assert demands_length(text, "zh" if re.search("[\u4e00-\u9fff]", text) else "en") == found


@pytest.mark.parametrize("text", LONG)
def test_long_forms_demand_no_length(text: str) -> None:
    assert demands_length(text, "zh" if re.search("[\u4e00-\u9fff]", text) else "en") is None
