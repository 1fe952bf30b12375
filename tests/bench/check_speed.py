"""(d) MB/s of the check, of a text of 100 kB, against the least that any check does: decode the UTF-8 and split it into words.

    streamed   through a Watch, in pieces of a token's size
    finished   the check of the finished text

A ratio of 0.1 says that the check takes ten times as long as decoding and splitting. It still is a small share of the time that a
model needs for the text; docs/performance.md compares. The texts are sentences of random words without repetition. This is the slowest
case: every n-gram is stored.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from lengthen.common.config.stages import Check
from lengthen.common.text.check import Watch, check_text
from measuring import Options, in_turns, seconds
from table import Figure

SIZE = 100_000  # bytes
PIECE = {"en": 4, "zh": 2}  # characters of a token
LIMITS = Check()
COMMON = ["the", "of", "and", "to", "in", "a", "is", "that", "it", "was", "for", "on", "are", "as", "with"]


def measure(options: Options) -> list[Figure]:
    repeats, figures = options.size(20, 1), []
    for language, sentence in (("en", english), ("zh", chinese)):
        text = text_of(sentence, SIZE)
        encoded = text.encode()
        pieces = [text[start : start + PIECE[language]] for start in range(0, len(text), PIECE[language])]
        sides = {
            "streamed": lambda pieces=pieces, language=language: stream(pieces, language),
            "finished": lambda text=text, language=language: final(text, language),
            "decode and split": lambda encoded=encoded, language=language: split(encoded, language),
        }
        megabytes = len(encoded) * repeats / 1e6
        found = in_turns(options.rounds, {name: rate(work, repeats, megabytes) for name, work in sides.items()})
        figures += [
            Figure("d", f"the check, {language}, {name}: against decoding and splitting", "MB/s", tuple(found[name]), tuple(found[least]))
            for *names, least in [list(sides)]
            for name in names
        ]
    return figures


def rate(work: Callable[[], object], repeats: int, megabytes: float) -> Callable[[], float]:
    return lambda: megabytes / seconds(lambda: [work() for _ in range(repeats)])


def english(rng: random.Random) -> str:
    words = [rng.choice(COMMON) if rng.random() < 0.4 else "".join(rng.choices("aeioulnrst", k=6)) for _ in range(15)]
    return " ".join(words).capitalize() + ". "


def chinese(rng: random.Random) -> str:
    return "".join(chr(rng.randrange(0x4E00, 0x5E00)) for _ in range(24)) + "。"


def text_of(sentence: Callable[[random.Random], str], size: int) -> str:
    rng, parts, length = random.Random(size), [], 0
    while length < size:
        parts.append(sentence(rng) + ("\n\n" if rng.random() < 0.2 else ""))
        length += len(parts[-1].encode())
    return "".join(parts).strip()


def split(encoded: bytes, language: str) -> list[str]:
    """Words, or in Chinese characters."""
    text = encoded.decode()
    return list(text) if language == "zh" else text.split()


def stream(pieces: list[str], language: str) -> None:
    watch = Watch(LIMITS, language)
    for piece in pieces:
        if watch(piece):
            raise RuntimeError("the watch stopped the benchmark's text, so it cannot be used for measuring")


def final(text: str, language: str) -> None:
    if refused := check_text(text, "stop", LIMITS, language=language):
        raise RuntimeError(f"the check refused the benchmark's text: {refused}")
