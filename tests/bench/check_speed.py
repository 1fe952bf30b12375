"""The speed of the check: `make bench`. All figures are from one run on one core, so the columns can be compared.

    streamed   MB/s of UTF-8 through a Watch, in pieces of a token's size
    final      MB/s of the check of the finished text
    share      the time of both, divided by the time that an engine needs for the text at TOKENS_PER_SECOND

The texts are sentences of random words without repetition. This is the slowest case: every n-gram is stored.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from lengthen.common.config.stages import Check
from lengthen.common.text.check import Watch, check_text

SIZES = (10_000, 100_000, 1_000_000)  # bytes
TOKENS_PER_SECOND = 400  # all requests together; measured with the embedded model on two cores: 200 to 380
PIECE = {"en": 4, "zh": 2}  # characters of a token
LIMITS = Check()
COMMON = ["the", "of", "and", "to", "in", "a", "is", "that", "it", "was", "for", "on", "are", "as", "with"]


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


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The shortest time of several runs: other load on the machine only makes a run slower."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def stream(pieces: list[str], language: str) -> None:
    watch = Watch(LIMITS, language)
    for piece in pieces:
        if watch(piece):
            raise SystemExit("the watch stopped the benchmark's text, so it cannot be used for measuring")


def final(text: str, language: str) -> None:
    if refused := check_text(text, "stop", LIMITS, language=language):
        raise SystemExit(f"the check refused the benchmark's text: {refused}")


def main() -> None:
    print(f"{'':10}{'text':>10}{'streamed':>12}{'final':>12}{f'share at {TOKENS_PER_SECOND} tokens/s':>28}")
    for language, sentence in (("en", english), ("zh", chinese)):
        for size in SIZES:
            text = text_of(sentence, size)
            step = PIECE[language]
            pieces = [text[start : start + step] for start in range(0, len(text), step)]
            repeats = max(2, 500_000 // size)
            streamed = seconds(lambda pieces=pieces: stream(pieces, language), repeats)  # noqa: B023
            finished = seconds(lambda text=text: final(text, language), repeats)  # noqa: B023
            megabytes = len(text.encode()) / 1e6
            share = (streamed + finished) / (len(pieces) / TOKENS_PER_SECOND)
            print(f"{language:10}{size // 1000:>7} kB{megabytes / streamed:>7.1f} MB/s{megabytes / finished:>7.1f} MB/s{share:>27.3%}")


if __name__ == "__main__":
    main()
