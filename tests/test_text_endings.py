"""How a finished text may end, and how a broken one does: sentences, Markdown, two languages."""

from __future__ import annotations

import pytest
from lengthen.common.text.ending import breaks_off

FINISHED = [
    ("en", "It was over."),
    ("en", "Was it over?"),
    ("en", "It was over…"),
    ("en", 'She said: "It is over."'),
    ("en", "She said: “It is over.”"),
    ("en", "It was over (or so they said)."),
    ("en", "(It was over.)"),
    ("en", "**It was over.**"),
    ("en", "*It was over*."),
    ("en", "> It was over."),
    ("en", "“But you never told me that—”"),
    ("en", '"But you never told me that--"'),
    ("en", "Run `make test`."),
    ("en", "It was over.[^1]"),
    ("en", "It was over.[12]"),
    ("en", "It was over.¹"),
    ("en", "It was over. 😊"),
    ("en", "It was over! 🎉🎉"),
    ("en", "[It was over.](https://example.org/page)"),
    ("en", "It was over, as ([Smith 2020](https://example.org/page)) says."),
    ("en", "It was over.[^1]\n\n[^1]: Smith, a history of the war, 1920"),
    ("en", "It was over.\n\n[1]: https://example.org/page"),
    ("en", "Read more at https://example.org/page"),
    ("en", "Costs:\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
    ("en", "Code:\n\n```python\nx = 1\n```"),
    ("en", "Code:\n\n~~~\nx = 1\n~~~\n"),
    ("en", "Code:\n\n````\n```\nx\n```\n````"),
    ("en", "```x``` is code.\n\n```y``` is code, too."),
    ("en", "The sum is\n\n$$\na + b\n$$"),
    ("en", "It was over.\n\n---"),
    ("en", "It was over.\n\n* * *\n"),
    ("en", "<div>\nIt was over.\n</div>"),
    ("en", "To buy:\n\n- bread\n- apples"),
    ("en", "To eat:\n\n- pasta\n- pizza"),
    ("en", "To do:\n\n1. mix the flour\n2. bake the bread"),
    ("en", "To do:\n\n* **Flour**: mix it\n* **Oven**: heat it"),
    ("en", "Aims:\n\n- to bring the people of every street in the quarter to one table once a year\n"
           "- to make sure that nobody who has lived here for long is forgotten by those who came later"),
    ("en", "They lived happily.\n\nTHE END"),
    ("en", "They lived happily.\n\n*The End.*"),
    ("en", "I hope to see you soon.\n\nYours sincerely,\n\nAnna Smith"),
    ("en", "I hope to see you soon.\n\nWith love,\nAnna"),
    ("zh", "一切都结束了。"),
    ("zh", "结束了吗？"),
    ("zh", "结束了！"),
    ("zh", "一切都结束了……"),
    ("zh", "他说：“结束了。”"),
    ("zh", "他说：「结束了。」"),
    ("zh", "（一切都结束了。）"),
    ("zh", "**一切都结束了。**"),
    ("zh", "歌里唱道：It is over."),
    ("zh", "一切都结束了。\n\n（全文完）"),
    ("zh", "要买的东西：\n\n- 面包\n- 苹果"),
    ("zh", "步骤：\n\n1、和面\n2、烤面包"),
]  # fmt: skip
BROKEN = [
    ("en", "It was"),
    ("en", "It was over,"),
    ("en", "It was over;"),
    ("en", "He said:"),
    ("en", "It was over -"),
    ("en", "It was over --"),
    ("en", "And then she said, “I"),
    ("en", "It was over (and"),
    ("en", "It was over and **so"),
    ("en", "She called Mr."),
    ("en", "Some fruit, e.g."),
    ("en", "It was over.\n\n## What came after"),
    ("en", "It was over.\n\n## What came after."),
    ("en", "It was over.\n\n**What came after**"),
    ("en", "It was over.\n\n#"),
    ("en", "It was over.\n\nWhat came after:\n\n---"),
    ("en", "Code:\n\n```python\nx = 1."),
    ("en", "Code:\n\n```\nx = 1\n```\n\nMore of it.\n\n~~~\ny."),
    ("en", "Costs:\n\n| a | b |\n|---|---|"),
    ("en", "Costs:\n\n| a | b |\n|---|---|\n| 1 |  and then"),
    ("en", "To do:\n\n1. Mix the flour.\n2."),
    ("en", "To do:\n\n- Mix the flour.\n-"),
    ("en", "To buy:\n\n- bread\n- apples and"),
    ("en", "To buy:\n\n- bread\n- apples from the"),
    ("en", "To buy:\n\n- bread,\n- apples,"),
    ("en", "It rained.\n\n- and so they stayed at home"),
    ("en", "To do:\n\n- Mix the flour with the water in a bowl that is large enough for all of the dough you"),
    ("en", "Code:\n\n````\n```\nx.\n```"),
    ("en", "To do:\n\n1. Write this:\n\n    ```\n    x."),
    ("en", "[Chorus] The night is young and"),
    ("en", "See [the guide"),
    ("en", "I hope to see you soon.\n\nYours sincerely and"),
    ("zh", "一切都"),
    ("zh", "一切都结束了，"),
    ("zh", "一切都结束了；"),
    ("zh", "他说："),
    ("zh", "面包、苹果、"),
    ("zh", "一切都结束了。\n\n## 后来"),
    ("zh", "要买的东西：\n\n- 面包、\n- 苹果、"),
]


@pytest.mark.parametrize(("language", "text"), FINISHED)
def test_a_finished_text_is_seen_as_one(language: str, text: str) -> None:
    assert breaks_off(text, language) is None


@pytest.mark.parametrize(("language", "text"), BROKEN)
def test_a_broken_text_is_seen_as_one(language: str, text: str) -> None:
    assert breaks_off(text, language) is not None
