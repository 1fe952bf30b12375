"""Layout survives splitting and joining: indentation, code, formulas, tables, lists and verse; and expand's two phases."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lengthen.common.engine.protocol import Completion
from lengthen.common.text.paragraphs import first_half, first_two_thirds, normalized, split_paragraphs, strip_ends
from lengthen.finetune.examples import thinned
from test_method import Scripted, expand_one, paragraphs
from test_text_properties import quick

METHODS = "class Lamp:\n    def light(self):\n        self.lit = True\n\n    def put_out(self):\n        self.lit = False"
WHOLE = {
    "fence": f"```python\n{METHODS}\n\n\nlamp = Lamp()\n```",
    "tildes": "~~~text\nfirst\n\n\n  second\n~~~",
    "fence in a list": "1. Type this:\n\n   ```sh\n   make\n\n   make check\n   ```\n\n   It takes a minute.",
    "class": METHODS,
    "function": "function wait(seconds) {\n  const start = now();\n\n  while (now() < start + seconds) {}\n}",
    "formula": "$$\na = b\n\nb = c\n$$",
    "brackets": "We find\n\\[\nx^2 + y^2\n= z^2\n\\]\nas before.",
    "environment": "\\begin{align}\nx &= 1 \\\\\n\ny &= 2\n\\end{align}",
    "table": "| Month | Rain |\n|---|---|\n| May | little |\n| June | none |",
    "bare table": "Month | Rain\n--- | ---\nMay | little\nJune | none",
    "nested list": "- bread\n  - rye\n\n  - wheat\n\n    - the early one\n- salt",
    "loose list": "1. wash the lentils\n\n2. boil them\n\n3. add salt",
    "chinese list": "1. 洗净豆子\n\n2. 煮熟\n\n3. 加盐",
    "verse": "Who rowed across the bay at night\n    with neither oar nor candle-light,\nand never said a word?",
    "chinese verse": "江水向东流，\n灯火照孤舟。\n　　谁人夜不寐，\n白发望高楼。",
    "quotation": "> We came in May.\n>\n> We left in June.",
    "address": "Anna Lind\n12 Mill Road\nOld Harbour",
}
PROSE = [
    "The harbour was quiet when they came, and nobody asked them where they had been all winter.",
    "### The second winter",
    "    An indented paragraph, as people write them.",
    "　　港口很安静，没有人问他们整个冬天去了哪里。",
    "1. A long item of a list is a paragraph of its own, because an article may have ten of them with a hundred words each, "
    "and then half of the article would have to be one of its items or all of its items, which is not what half means.",
]


def lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_a_block_is_one_paragraph_and_unchanged(text: str) -> None:
    assert split_paragraphs(text) == [text]
    assert split_paragraphs(f"{PROSE[0]}\n\n{text}\n\n{PROSE[0]}\n\n{PROSE[0]}")[1] == text


@quick
@given(st.integers(0, 10**6))
def test_documents_are_split_between_blocks_and_joined_without_a_change(seed: int) -> None:
    rng = random.Random(seed)
    parts = rng.sample([*WHOLE.values(), *PROSE], rng.randrange(3, 12))
    text = rng.choice(["", "\n\n"]) + "".join(part + "\n" * rng.choice([2, 2, 2, 3, 5]) for part in parts)
    joined = normalized(text)
    assert lines(joined) == lines(text)
    assert all(any(part in paragraph for paragraph in split_paragraphs(text)) for part in parts)
    assert normalized(joined) == joined
    for part in (first_half(text), first_two_thirds(text)):
        assert joined.startswith(part) and (part == joined or joined[len(part) :].startswith("\n\n"))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("\n".join([PROSE[0] + " It was the year of the great storm."] * 4), 4),  # paragraphs without blank lines
        ("\n".join(["港口很安静，没有人问他们整个冬天去了哪里，也没有人问他们带回了什么。"] * 4), 4),
        ("# Title\n" + "\n".join([PROSE[0] + " It was the year of the great storm."] * 2), 3),
        ("\n".join(PROSE[0].split(", ")), 1),  # wrapped lines
        ("\n".join([f"- {PROSE[0]}"] * 4), 1),
        ("\n".join(["“Yes,” she said.", "“No,” he said."] * 4), 1),
    ],
)
def test_a_text_of_one_paragraph_is_split_where_its_lines_are_paragraphs(text: str, count: int) -> None:
    assert len(split_paragraphs(text)) == count


def test_the_ends_of_a_text_are_stripped_and_its_first_indentation_is_kept() -> None:
    assert strip_ends("\n  \n    def put_out(self):\n        pass\n\n") == "    def put_out(self):\n        pass"
    assert strip_ends(" The harbour.\n ") == "The harbour."
    assert strip_ends("　　港口。\n") == "　　港口。"


@pytest.mark.parametrize("code", [f"```python\n{METHODS}\n```", METHODS], ids=["fenced", "not fenced"])
def test_a_class_keeps_its_methods_through_expand(code: str) -> None:
    draft = f"A lamp is a class.\n\n{code}\n\nIt can be lit.\n\nIt can be put out."
    opening = f"A lamp is a small class with two methods.\n\n{code}\n\n{paragraphs(2, 'a')}"
    rest = "\n    def break_it(self):\n        self.lit = None\n\n" + paragraphs(5, "b")
    engine = Scripted(opening, rest)
    row = expand_one(engine, draft, rounds=1, attempts=1)
    first, second = (prompt for prompt, _ in engine.requests)
    assert code in first.user and code in second.user
    assert second.prefill == f"A lamp is a small class with two methods.\n\n{code}\n\n"
    assert isinstance(row, dict) and row["expansion"] == second.prefill + rest.strip("\n")


def test_an_opening_whose_code_is_cut_off_ends_before_the_code() -> None:
    cut = Completion(f"{PROSE[0]}\n\n{PROSE[0]}\n\n```python\n{METHODS}\n\n    def", 90, "length")
    engine = Scripted(cut, paragraphs(5, "b"))
    expand_one(engine, rounds=1, attempts=1)
    assert engine.requests[1][0].prefill == f"{PROSE[0]}\n\n{PROSE[0]}\n\n"
    alone = Completion(f"```python\n{METHODS}\n\n    def", 90, "length")
    outcome = expand_one(Scripted(alone), rounds=1, attempts=1)
    assert not isinstance(outcome, dict) and outcome.reason == "finish_reason"


def test_thinning_drops_or_keeps_the_whole_block() -> None:
    blocks = [WHOLE["fence"], WHOLE["formula"], WHOLE["table"]]
    text = "\n\n".join(part for block in blocks for part in (PROSE[0], block))
    for row in range(40):
        thin = thinned(text, 0.3, 1, str(row))
        kept = [part for part in split_paragraphs(text) if part in thin]
        assert set(lines(thin)) == set(lines("\n".join(kept)))
