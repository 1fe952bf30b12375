"""Generate prepared requests with one engine, ours or vLLM's `LLM`, and time it. A program of part (a); see raw_vllm.py.

Spec: `side` (ours, raw), `model`, `settings` (overrides of configs/laptop.yaml), `cases`: {name: {"sampling": ..., "prompts": [...]}}.
Result: for each case `tokens` (generated) and `seconds`. The engine's start and a warm-up are not timed.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from lengthen.common.config.load import Config, load_config
from lengthen.common.engine.protocol import Engine, Prompt, SamplingParameters
from lengthen.common.method.ids import attempt_seed
from lengthen.common.text.check import Watch
from measuring import ROOT, spec_and_result

Request = tuple[Prompt, SamplingParameters]


def main() -> None:
    spec, result = spec_and_result()
    config = load_config(ROOT / "configs/laptop.yaml", [f"model.path={spec['model']}", *spec["settings"]])
    cases = {name: requests(**case) for name, case in spec["cases"].items()}
    warm_up = [(Prompt(f"Count to {number}."), parameters) for number, (_, parameters) in enumerate(next(iter(cases.values())))]
    found = {"ours": ours, "raw": raw}[spec["side"]](config, {"warm-up": warm_up, **cases})
    result.write_text(json.dumps({name: found[name] for name in cases}))


def requests(sampling: dict[str, Any], prompts: list[str]) -> list[Request]:
    return [(Prompt(text), SamplingParameters(**sampling, seed=attempt_seed(0, str(number), 0))) for number, text in enumerate(prompts)]


def ours(config: Config, cases: dict[str, list[Request]]) -> dict[str, dict[str, float]]:
    """As a stage does it: concurrent calls of one engine, each with its prompt as text and a watch."""
    from lengthen.common.engine.opening import open_engine

    async def all_of(engine: Engine, case: list[Request]) -> int:
        calls = [engine.complete(prompt, sampling, watch=Watch(config.check, "en")) for prompt, sampling in case]
        return sum(completion.tokens for completion in await asyncio.gather(*calls))

    async def all_cases() -> dict[str, dict[str, float]]:
        found = {}
        async with open_engine("vllm", config, []) as engine:
            for name, case in cases.items():
                began = time.perf_counter()
                tokens = await all_of(engine, case)
                found[name] = {"tokens": tokens, "seconds": time.perf_counter() - began}
        return found

    return asyncio.run(all_cases())


def raw(config: Config, cases: dict[str, list[Request]]) -> dict[str, dict[str, float]]:
    """One call of `LLM.generate` for all requests of a case, with prompts that are tokens already, and the same engine arguments otherwise.

    It is called in the main thread, as vLLM's users do. OpenMP's threads then spin while they wait, so any other program on the cores
    slows this side more than ours.
    """
    from lengthen.common.engine.chat import Chat
    from lengthen.common.engine.vllm_arguments import engine_arguments
    from vllm import LLM, SamplingParams
    from vllm.platforms import current_platform

    chat = Chat(config.model.path)
    arguments = engine_arguments(config, [], on_cpu=current_platform.is_cpu())
    for ours_only in ("logits_processors", "ir_op_priority"):  # our sampling and kernels: what is compared
        arguments.pop(ours_only, None)
    llm = LLM(**arguments)

    def generate(case: list[tuple[dict[str, Any], Any]]) -> int:
        outputs = llm.generate([prompt for prompt, _ in case], [parameters for _, parameters in case], use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in outputs)

    def prepared(prompt: Prompt, sampling: SamplingParameters) -> tuple[dict[str, Any], Any]:
        names = ("temperature", "top_p", "top_k", "repetition_penalty", "max_tokens", "seed")
        return {"prompt_token_ids": chat.encode(prompt)}, SamplingParams(**{name: getattr(sampling, name) for name in names})

    found = {}
    for name, case in cases.items():
        ready = [prepared(prompt, sampling) for prompt, sampling in case]
        began = time.perf_counter()
        tokens = generate(ready)
        found[name] = {"tokens": tokens, "seconds": time.perf_counter() - began}
    return found


if __name__ == "__main__":
    main()
