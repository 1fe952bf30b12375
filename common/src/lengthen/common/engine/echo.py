"""Echo: an engine without a model, for tests and for trying the pipeline in seconds.

The same prompt and seed give the same text. Texts are random words in sentences and paragraphs. A longer prompt gives a longer
text, so that expansions grow. A Chinese prompt gives Chinese characters. A prefill that ends with a colon is the label of a list's
item: the text is one item, of one or two paragraphs. Settings imitate a model's faults.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import random
from typing import Any

from lengthen.common.config.load import Config
from lengthen.common.engine.protocol import Completion, Prompt, PromptTooLong, SamplingParameters, WatchFunction
from lengthen.common.model.adapter import Adapter
from lengthen.common.text.languages import detect
from lengthen.common.text.words import count_words

_SYLLABLES = ["ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "wi", "zo", "ka", "li"]
_CHARACTERS = (
    "春夏秋冬山水风云花草树木鸟鱼日月星光早晚东南西北城市乡村老师学生朋友家人父母孩子房屋道路桥梁河流田野书信"
    "文字故事音乐画面声音颜色时间地方世界生活工作思考记忆希望问题方法结果原因变化开始发现走看听说写读想问做来去"
)
_PIECE = 5  # words in one piece of the stream
_ITEM_WORDS = (12, 48)  # of a list's item


class EchoEngine:
    """See `protocol.Engine`. A token is a word or a Chinese character here."""

    control_tokens = frozenset({"<|im_start|>", "<|im_end|>", "<|endoftext|>"})

    def __init__(self, config: Config) -> None:
        self.settings = config.echo
        self.context_tokens = config.model.max_model_len

    async def complete(
        self, prompt: Prompt, sampling: SamplingParameters, *, adapter: Adapter | None = None, watch: WatchFunction | None = None
    ) -> Completion:
        room = self.context_tokens - self.count_tokens(prompt)
        if room < 1:
            raise PromptTooLong(f"{self.count_tokens(prompt)} tokens of prompt in a context of {self.context_tokens}")
        if self.settings.latency_seconds:
            await asyncio.sleep(self.settings.latency_seconds)
        if sampling.json_schema:
            document = self._document(json.loads(sampling.json_schema), self._random(prompt, sampling.seed, adapter))
            return Completion(document, count_words(document), "stop")
        words = self._words(prompt, sampling.seed, adapter)
        limit = min(sampling.max_tokens, room)
        written = ""
        for start in range(0, min(len(words), limit), _PIECE):
            piece = "".join(words[start : min(start + _PIECE, limit)])
            written += piece
            if watch and (reason := watch(piece)):
                return Completion(written, min(start + _PIECE, limit), reason)
        return Completion(written, min(len(words), limit), "stop" if len(words) <= limit else "length")

    async def score(self, prompt: Prompt, continuations: list[str], *, adapter: Adapter | None = None) -> list[float]:
        """The first continuation is 2 to 20 times more likely than the others."""
        factor = self._random(prompt, 0, adapter).uniform(2, 20)
        return [math.log(0.9)] + [math.log(0.9 / factor)] * (len(continuations) - 1)

    def count_tokens(self, prompt: Prompt) -> int:
        return count_words(prompt.user) + count_words(prompt.prefill)

    async def close(self) -> None:
        pass

    def _random(self, prompt: Prompt, seed: int, adapter: Adapter | None) -> random.Random:
        key = f"{seed}\x1f{adapter.sha256 if adapter else ''}\x1f{prompt.user}\x1f{prompt.prefill}"
        return random.Random(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest())

    def _document(self, schema: dict[str, Any], dice: random.Random) -> str:
        """A JSON object of a schema whose properties are bounded integers and strings."""
        kinds = schema["properties"]
        return json.dumps(
            {name: dice.randint(kind["minimum"], kind["maximum"]) if kind["type"] == "integer" else "echo" for name, kind in kinds.items()}
        )

    def _words(self, prompt: Prompt, seed: int, adapter: Adapter | None) -> list[str]:
        """The words of the text, with white space and punctuation."""
        dice = self._random(prompt, seed, adapter)
        count = max(1, round(self.settings.words * dice.uniform(0.7, 1.3) + self.settings.growth * count_words(prompt.user)))
        if prompt.prefill.endswith((":", "：")):
            count = dice.randint(*_ITEM_WORDS)
        chinese = detect(prompt.user) == "zh"
        words = [dice.choice(_CHARACTERS) if chinese else "".join(dice.choices(_SYLLABLES, k=3)) for _ in range(count)]
        fault = dice.random()
        if fault < self.settings.loop_share:
            words = words[: count // 2] + words[:12] * (count // 24 + 4)
        ends = [number % 12 == 11 or number == len(words) - 1 for number in range(len(words))]
        if self.settings.loop_share <= fault < self.settings.loop_share + self.settings.cut_share:
            ends[-1] = False
            words[-1] += "，" if chinese else ","
        punctuated = _chinese if chinese else _spaced
        return [punctuated(number, word, ends) for number, word in enumerate(words)]


def _chinese(number: int, character: str, ends: list[bool]) -> str:
    if not ends[number]:
        return character
    return character + ("。\n\n" if number % 36 == 35 and number < len(ends) - 1 else "。")


def _spaced(number: int, word: str, ends: list[bool]) -> str:
    word = word.capitalize() if number == 0 or ends[number - 1] else word
    if not ends[number]:
        return word if number == len(ends) - 1 else word + " "
    if number == len(ends) - 1:
        return word + "."
    return word + (".\n\n" if number % 36 == 35 else ". ")
