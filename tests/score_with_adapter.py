"""A program: the log-probability of an answer from vLLM with an adapter beside the base model, and a reply kept to a schema.

python score_with_adapter.py CONFIG ADAPTER -> one JSON line
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from lengthen.common.config import load_config
from lengthen.common.engine.opening import open_engine
from lengthen.common.engine.protocol import Adapter, Prompt, SamplingParameters
from lengthen.evaluate.judge.reply import read_grades, reply_tokens, schema


async def main() -> dict[str, object]:
    adapter = Adapter(Path(sys.argv[2]), "a" * 64)
    engine = open_engine("vllm", load_config(Path(sys.argv[1])), [adapter], with_base=True)
    prompt, answers = Prompt("Where is the bread?"), ["The bread is near the window.", "Every garden."]
    grades = SamplingParameters(0.0, 1.0, 0, 1.0, reply_tokens(5), 1, json.dumps(schema(5)))
    base, tuned, reply = await asyncio.gather(
        engine.score(prompt, answers), engine.score(prompt, answers, adapter=adapter), engine.complete(prompt, grades)
    )
    engine.close()
    return {"base": base, "tuned": tuned, "grades": read_grades(reply.text)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
