"""The base model in this process as the judge (`self:…`): it needs no endpoint."""

from __future__ import annotations

import json

from lengthen.common.config.stages import Judge
from lengthen.common.engine.protocol import Engine, Prompt, SamplingParameters
from lengthen.evaluate.judge.protocol import Reply
from lengthen.evaluate.judge.reply import reply_tokens, schema


class EngineJudge:
    """See `protocol.JudgeModel`. The engine constrains the reply to the JSON schema."""

    def __init__(self, engine: Engine, settings: Judge, model: str, context_tokens: int) -> None:
        self.engine, self.name = engine, f"self:{model}"
        self.context_tokens = min(settings.context_tokens, context_tokens)
        self.control_tokens = engine.control_tokens

    async def ask(self, prompt: str, seed: int, temperature: float, analysis_words: int) -> Reply:
        max_tokens, json_schema = reply_tokens(analysis_words), json.dumps(schema(analysis_words))
        sampling = SamplingParameters(temperature, 1.0, 0, 1.0, max_tokens, seed, json_schema)
        completion = await self.engine.complete(Prompt(prompt), sampling)
        return Reply(completion.text, self.count_tokens(prompt), completion.tokens)

    def count_tokens(self, text: str) -> int:
        return self.engine.count_tokens(Prompt(text))
