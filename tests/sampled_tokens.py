"""Texts of the same requests from vLLM's own sampler and from our logits processors, as JSON on stdout.

python tests/sampled_tokens.py MODEL REQUESTS TOKENS

Some requests have other limits than the rest, and some are greedy, so that processors meet mixed batches.
"""

from __future__ import annotations

import json
import os
import sys

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}

SUBJECTS = ("a harbour in winter", "bread", "the history of bridges", "a teacher", "how to keep bees", "night trains")
LIMITS = (
    {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.1},
    {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.1},
    {"temperature": 0.8, "top_p": 0.9, "top_k": 50, "repetition_penalty": 1.0},
    {"temperature": 1.0, "top_p": 1.0, "top_k": 5, "repetition_penalty": 1.3},
    {"temperature": 1.0, "top_p": 0.95, "top_k": 0, "repetition_penalty": 1.0},
    {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.2},
)


def main(model: str, requests: int, tokens: int) -> None:
    from lengthen.common.engine.cpu_sampling import RepetitionPenalty, TopKTopP, cpu_parameters
    from lengthen.common.engine.protocol import SamplingParameters
    from vllm import LLM, SamplingParams

    llm = LLM(
        model, dtype="bfloat16", max_model_len=2048, max_num_seqs=requests, enforce_eager=True, enable_prefix_caching=False,
        enable_chunked_prefill=False, max_num_batched_tokens=8192, logits_processors=[RepetitionPenalty, TopKTopP],
    )  # fmt: skip
    prompts = [
        f"Write a long text about {SUBJECTS[number % len(SUBJECTS)]}. It begins with the number {number}." for number in range(requests)
    ]
    theirs, ours = [], []
    for number in range(requests):
        limits = LIMITS[number % len(LIMITS)]
        common = {"temperature": limits["temperature"], "seed": number, "max_tokens": tokens, "ignore_eos": True}
        theirs.append(SamplingParams(**(limits | common)))
        ours.append(SamplingParams(**common, **cpu_parameters(SamplingParameters(**limits, max_tokens=tokens, seed=number))))
    found = [
        [list(output.outputs[0].token_ids) for output in llm.generate(prompts, parameters, use_tqdm=False)] for parameters in (theirs, ours)
    ]
    print(json.dumps({"theirs": found[0], "ours": found[1]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
