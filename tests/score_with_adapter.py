"""A program that scores answers with the base model and with an adapter, and requests a greedy answer and a reply with a schema.

python score_with_adapter.py vllm|openai CONFIG ADAPTER -> one JSON line
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from lengthen.common.config.load import load_config
from lengthen.common.engine.opening import open_engine
from lengthen.common.engine.protocol import Prompt, SamplingParameters
from lengthen.common.model.adapter import Adapter
from lengthen.evaluate.judge.reply import read_grades, reply_tokens, schema


async def main() -> dict[str, object]:
    adapter = Adapter(Path(sys.argv[3]), "a" * 64)
    prompt, answers = Prompt("Where is the bread?"), ["The bread is near the window.", "Every garden."]
    grades = SamplingParameters(0.0, 1.0, 0, 1.0, reply_tokens(5), 1, json.dumps(schema(5)))
    greedy = SamplingParameters(0.0, 1.0, 0, 1.0, 40, 1)
    async with open_engine(sys.argv[1], load_config(Path(sys.argv[2])), [adapter], with_base=True) as engine:
        base, tuned, reply, continued = await asyncio.gather(
            engine.score(prompt, answers),
            engine.score(prompt, answers, adapter=adapter),
            engine.complete(prompt, grades),
            engine.complete(Prompt(prompt.user, "The river was quiet.\n\n"), greedy, adapter=adapter),
        )
    return {"base": base, "tuned": tuned, "grades": read_grades(reply.text), "continued": continued.text, "tokens": continued.tokens}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
