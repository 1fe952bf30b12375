"""The kinds of a text's lines: prose, code, formulas and tables."""

from __future__ import annotations

import pytest
from lengthen.common.text.blocks import Kind, kinds, open_block, strip_formulas

LETTERS = {Kind.PROSE: "p", Kind.CODE: "c", Kind.FORMULA: "f", Kind.TABLE: "t"}


def letters(text: str) -> str:
    return "".join(LETTERS[kind] for kind, _ in kinds(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One line.\n\nAnother line.", "ppp"),
        ("So:\n```python\nx = 1\n\ny = 2\n```\nDone.", "pcccccp"),
        ("So:\n~~~\nx = 1\n~~~\nDone.", "pcccp"),
        ("1. First:\n   ```\n   x\n   ```\n2. Second.", "pcccp"),
        ("- ```js\n  x\n  ```\nDone.", "cccp"),
        ("> ```\n> x\n> ```\nDone.", "cccp"),
        ("````\n```\nx\n```\n````\nDone.", "cccccp"),
        ("```markdown\n# Title\n```sh\nls\n```\nText.\n```\nDone.", "cccccccp"),
        ("It ended.\n\n~~~\n\nThe next day, it began again.", "ppcpp"),  # scenes of a story
        ("Use ```x``` here.\nDone.", "pp"),
        ("class Pump {\n    int level = 0;\n}\n\n    A quotation, indented.", "cccpp"),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n\nDone.", "tttpp"),
        ("a | b\n--- | ---\n1 | 2\n3 | 4\nDone.", "ptttp"),
        ("+---+---+\n| 1 | 2 |\n+---+---+\nDone.", "tttp"),
        ("x or y | z\nand so on", "pp"),
        ("We get\n$$\nx = 1\n\ny = 2\n$$\nso it is.", "pfffffp"),
        ("We get\n$$ x = 1 $$\n\\[ y = \\frac{1}{2} \\]\nso it is.", "pffp"),
        ("We get $$x =\n1 + 2$$\nso it is.", "pfp"),
        ("We get:\n\\[\nx = 1\n\\]\nso it is.", "pfffp"),
        ("\\begin{align*}\nx &= 1 \\\\[2pt]\ny &= 2\n\\end{align*}\nDone.", "ffffp"),
        ("其中 $x$ 为长度，$y$ 为宽度。\n$$\nx+y\n$$", "pfff"),
        ("1. Café Rosa, $$\n2. Blue Door, $$$\n\nBoth are open.", "pfpp"),  # classes of prices: at most up to a blank line
        ("- Café Rosa: $$\n\nIt is open.", "ppp"),
    ],
)
def test_each_line_has_its_kind(text: str, expected: str) -> None:
    assert letters(text) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("All closed.\n\n```\nx\n```\n\n$$\nx\n$$\n", None),
        ("So:\n\n```python\nx = 1", "```python"),
        ("So:\n\n  ~~~text\n  x = 1", "~~~text"),
        ("```markdown\n# Title\n```sh\nls", "```markdown"),
        ("We get\n$$\nx = 1", "$$"),
        ("因此有：\n$$x = \\frac{1}{2}", "$$x = \\frac{1}{2}"),
        ("We get \\[\nx = 1", "We get \\["),
        ("\\begin{align}\nx &= 1 \\\\", "\\begin{align}"),
        ("The end.\n\n~~~", None),
        ("Dinner at Rosa: $$", None),
        ("It costs $5 and \\[sic\\] more.", None),
    ],
)
def test_an_open_block_is_named_by_its_first_line(text: str, line: str | None) -> None:
    assert open_block(text) == line


@pytest.mark.parametrize(
    ("line", "prose"),
    [
        ("Let $x$ be $2n + 1$, as in \\(a_1\\).", "Let   be  , as in  ."),
        ("It cost $5 then and $10 now.", "It cost $5 then and $10 now."),
        ("Between $5-$10, or US$7 and A$9.", "Between $5-$10, or US$7 and A$9."),
        ("设 $f(x)=x^2$，则 $$\\int f$$ 存在。", "设  ，则   存在。"),
    ],
)
def test_formulas_in_a_line_are_not_prose_and_prices_are(line: str, prose: str) -> None:
    assert strip_formulas(line) == prose
