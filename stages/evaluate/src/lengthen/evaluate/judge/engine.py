"""The base model in this process as the judge: no endpoint needed, and a score that says so (`self:…`)."""

from __future__ import annotations

import json

from lengthen.common.engine.protocol import Engine, Prompt, SamplingParameters
from lengthen.common.settings import Judge
from lengthen.evaluate.judge.asked import Reply
from lengthen.evaluate.judge.reply import reply_tokens, schema


class EngineJudge:
    """See `asked.AskedJudge`. The engine keeps the reply to the schema."""

    def __init__(self, engine: Engine, settings: Judge, model: str, context_tokens: int) -> None:
        self.engine, self.name = engine, f"self:{model}"
        self.context_tokens = min(settings.context_tokens, context_tokens)
        self.control_tokens = engine.control_tokens

    async def ask(self, prompt: str, seed: int, temperature: float, analysis_words: int) -> Reply:
        room, form = reply_tokens(analysis_words), json.dumps(schema(analysis_words))
        sampling = SamplingParameters(temperature, 1.0, 0, 1.0, room, seed, form)
        completion = await self.engine.complete(Prompt(prompt), sampling)
        return Reply(completion.text, self.count_tokens(prompt), completion.tokens)

    def count_tokens(self, text: str) -> int:
        return self.engine.count_tokens(Prompt(text))
