"""Cutting an instruction out of the list that a model continues: its own lines and lists stay, the next label never does."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lengthen.augment.propose import StopAtNextItem
from lengthen.augment.seeding import load_seeds
from lengthen.augment.wording import Wording, load_wording

LABELS = {
    "en": [
        "Instruction 4:", "Instructions 4:", "**Instruction 4:**", "**Instruction 4**:", "### Instruction 4:", "## Instruction 4\n",
        "> INSTRUCTION 4.", "Instruction #4)", "[Instruction 4]", "Instruction 12 –", "Instructions 4-5:", "---\n\nInstruction 4:",
    ],
    "zh": [
        "指令 4：", "指令4：", "**指令 4：**", "**指令4**：", "### 指令 4：", "## 指令 4\n", "【指令4】", "（指令4）", "指令四：",
        "指令４：", "指令 4:", "指令 4、", "***\n指令 4：",
    ],
}  # fmt: skip
PARTS = {
    "en": [
        "- the first spring", "* honey\n  - how to taste it", "1. Begin with a bee.\n2) Then the hive.\n3. Leaflets, 4 of them",
        "Follow instruction 4 of the leaflet.", "## Form", "| a | b |", "", "At 10:30 they swarm.", "12:30 is noon.",
        "> “Home is a hive.”", "```", "Instructions for 4 readers",
    ],
    "zh": [
        "- 第一个春天", "1. 从一只蜜蜂写起\n2、再写蜂箱", "一、蜂王；\n二、工蜂。", "", "## 形式", "读者：4位新手", "根据指令 4 的说明",
        "“采蜜”", "12:30 开始",
    ],
}  # fmt: skip
FIRST = {"en": "Write a guide for new beekeepers.", "zh": "请写一份养蜂指南。"}


def joined(lines: list[str]) -> str:
    """An item as it should come out: no blank lines at its ends, no two together."""
    kept = [line for before, line in zip(["", *lines], lines, strict=False) if line or before]
    return "\n".join(kept).strip("\n")


@settings(max_examples=300, deadline=None)
@given(st.data())
@pytest.mark.parametrize("language", sorted(LABELS))
def test_an_items_lines_survive_and_the_next_label_never_does(language: str, data: st.DataObject) -> None:
    item = joined([FIRST[language], *data.draw(st.lists(st.sampled_from(PARTS[language]), max_size=8))])
    label = data.draw(st.sampled_from(LABELS[language]))
    text = f" {item}{data.draw(st.sampled_from(['', '  ']))}\n{data.draw(st.sampled_from(['', chr(10)]))}{label} Write something else."
    wording = load_wording(language)
    assert wording.has_next_item(text) and wording.first_item(text) == item
    assert not wording.has_next_item(item) and wording.first_item(item) == item


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(LABELS)), st.data())
def test_the_stream_stops_only_where_the_whole_text_is_cut(language: str, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from([*PARTS[language], *LABELS[language], "\n", "\n\n", " 4", ":", "。", ". "]), max_size=10))
    text = "\n".join(parts)
    watch, wording = StopAtNextItem(load_wording(language)), load_wording(language)
    reasons = [watch(character) for character in text]
    if "next_item" in reasons:
        stopped = text[: reasons.index("next_item") + 1]
        assert wording.has_next_item(text) and wording.first_item(stopped) == wording.first_item(text)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_seed_survives_in_a_list(language: str) -> None:
    seeds, wording = load_seeds([language], None), load_wording(language)  # type: ignore[list-item]
    for seed, after in pairwise(seeds):
        assert wording.first_item(f" {seed.instruction}\n\n{wording.item(4)} {after.instruction}") == seed.instruction


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("Write a story.\n\n3. Write a play.", "Write a story."),  # a bare number, as some small models write
        ("Write a list:\n1. a\n2. b\n\n4. Write a play.", "Write a list:\n1. a\n2. b"),
        ("Write it. Instruction 4. Write a play.", "Write it."),
        ("“Write it.” Instruction 4. Write a play.", "Write it."),
        ('"To be" or "not to be"', '"To be" or "not to be"'),
        ("Write it.\n\n---\n\n***\n", "Write it."),
        ("Write it.   \r\nWell.", "Write it.\nWell."),
        ("Instruction 3: Write it.", ""),  # rejected as too short
    ],
)
def test_unusual_items(text: str, item: str) -> None:
    assert load_wording("en").first_item(text) == item


def test_a_bare_number_ends_an_item_if_the_labels_are_bare_numbers() -> None:
    wording = Wording('{"item": "$number.", "yes": ["Yes"], "no": ["No"]}', "mine")
    assert wording.first_item(" Write it:\n- a\n\n4. Write a play.") == "Write it:\n- a"
    assert wording.first_item(" Write it:\n1. a") == "Write it:"


def test_after_examples_of_one_line_an_item_ends_at_a_blank_line() -> None:
    wording = load_wording("en")
    text = " Write a guide to lamps.\nUse plain words.\n \nLamps are old."
    assert wording.first_item(text, one_paragraph=True) == "Write a guide to lamps.\nUse plain words."
    assert wording.has_next_item(text, one_paragraph=True) and not wording.has_next_item(text)
    assert wording.first_item("Write on.\nInstruction 4: Go.\n\nMore.", one_paragraph=True) == "Write on."
