"""(a) Generated tokens/s of our engine, driven as a stage drives it, against `vllm.LLM.generate` with vLLM's own sampler.

Both get the same 64 requests at once, with the same seeds and engine arguments, on all cores, compiled or not as in
configs/laptop.yaml. Each measurement is a process of its own, because vLLM does not release its memory; its start is not timed.
Where the two sample different texts, the texts differ in length, so tokens/s are compared, not seconds.

    generate     short instructions, top-p, top-k and repetition penalty of configs/laptop.yaml
    expand       prompts of some 600 tokens, expand's sampling of configs/laptop.yaml
    temperature  short instructions, temperature only: there both use vLLM's sampler, and the ratio is the cost of our engine's frame
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lengthen.common.config.load import load_config
from lengthen.common.method.extend.prompt import extend_prompt
from lengthen.common.process.cores import available_cores
from measuring import ROOT, Options, in_turns, run_program
from prompts import drafts, instructions
from table import Figure

DRAFT_WORDS = 330  # with the extend prompt some 600 tokens
WANTED = {"generate": ">= 1.9", "expand": ">= 1.4", "temperature": ">= 0.95"}  # on a CPU, 64 sequences


def measure(options: Options) -> list[Figure]:
    count, tokens = options.size(64, 8), options.size(192, 16)
    spec = {
        "model": str(options.model),
        "settings": [f"engine.max_num_seqs={count}", f"engine.rows_in_flight={count}"],
        "cases": cases(count, tokens),
    }

    def run(side: str) -> dict[str, Any]:
        return run_program(Path(__file__).with_name("generation.py"), spec | {"side": side}, environment=vllm_environment())

    found = in_turns(options.rounds, {"ours": lambda: run("ours"), "raw vLLM": lambda: run("raw")}, show)
    return [
        Figure(
            "a", f"{name}, {count} requests: our engine against vLLM's LLM.generate", "tokens/s",
            *(tuple(result[name]["tokens"] / result[name]["seconds"] for result in found[side]) for side in ("ours", "raw vLLM")),
            wanted=WANTED[name],
        )
        for name in spec["cases"]
    ]  # fmt: skip


def cases(count: int, tokens: int) -> dict[str, Any]:
    config = load_config(ROOT / "configs/laptop.yaml")
    generate = config.generate.sampling.model_dump() | {"max_tokens": tokens}
    texts = instructions(2 * count)
    long = [extend_prompt("en", text, draft) for text, draft in zip(texts, drafts(count, DRAFT_WORDS), strict=False)]
    return {
        "generate": {"sampling": generate, "prompts": texts[:count]},
        "expand": {"sampling": config.expand.sampling.model_dump() | {"max_tokens": tokens}, "prompts": long},
        "temperature": {"sampling": generate | {"top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}, "prompts": texts[count:]},
    }


def vllm_environment() -> dict[str, str]:
    """The variables that `VllmEngine` sets, for both sides. The first two change how fast vLLM is."""
    return {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "OMP_NUM_THREADS": str(available_cores()),
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
    }


def show(result: dict[str, Any]) -> str:
    return ", ".join(f"{name} {case['tokens'] / case['seconds']:.0f} tokens/s" for name, case in result.items() if isinstance(case, dict))
