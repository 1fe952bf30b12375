"""On a CPU, our logits processors leave the same logits as vLLM's own sampler, and so give the same tokens."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from lengthen.common.engine.protocol import SamplingParameters
from torch import Tensor

VOCABULARY = 49152
LIMITS = [(20, 0.8), (20, 0.8), (50, 0.9), (1, 0.5), (5, 1.0), (256, 0.99), (20, 0.05)]  # top_k, top_p of the rows, in turns


def logits_of(rows: int, spread: float, seed: int = 0) -> Tensor:
    """Logits as they leave a model in bfloat16: many are equal."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(rows, VOCABULARY, generator=generator) * spread).to(torch.bfloat16).to(torch.float32)


def parameters(top_k: int, top_p: float, penalty: float) -> object:
    from lengthen.common.engine.cpu_sampling import cpu_parameters
    from vllm import SamplingParams

    return SamplingParams(**cpu_parameters(SamplingParameters(0.7, top_p, top_k, penalty, max_tokens=9, seed=1)))


def added(processor: object, requests: list[tuple[object, list[int], list[int]]]) -> None:
    from vllm.v1.sample.logits_processor import BatchUpdate

    batch = [(row, *request) for row, request in enumerate(requests)]
    processor.update_state(BatchUpdate(len(requests), removed=[], added=batch, moved=[]))  # type: ignore[attr-defined]


@pytest.mark.parametrize("spread", [0.02, 1.0, 4.0])  # with 0.02 hundreds of tokens have the k-th logit
def test_top_k_and_top_p_keep_the_tokens_that_vllm_keeps(spread: float) -> None:
    from lengthen.common.engine.cpu_sampling import TopKTopP
    from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p

    rows = 21
    limits = [LIMITS[row % len(LIMITS)] for row in range(rows)]
    logits = logits_of(rows, spread) / 0.7
    k, p = torch.tensor([k for k, _ in limits]), torch.tensor([p for _, p in limits])
    expected = apply_top_k_top_p(logits.clone(), k, p)
    processor = TopKTopP(None, torch.device("cpu"), False)  # type: ignore[arg-type]
    added(processor, [(parameters(k, p, 1.0), [], []) for k, p in limits])
    assert torch.equal(processor.apply(logits.clone()), expected)


def test_the_penalty_is_vllms_for_every_token_of_prompt_and_answer() -> None:
    from lengthen.common.engine.cpu_sampling import RepetitionPenalty
    from vllm.v1.sample.ops.penalties import apply_all_penalties

    logits = logits_of(3, 3.0)
    prompts = [[5, 5, 9, 49151], list(range(100, 900)), [7]]
    answers: list[list[int]] = [[], [3, 3], [7, 8]]
    penalties = [1.1, 1.3, 1.0]
    processor = RepetitionPenalty(None, torch.device("cpu"), False)  # type: ignore[arg-type]
    added(processor, [(parameters(20, 0.8, one), prompt, answer) for one, prompt, answer in zip(penalties, prompts, answers, strict=True)])
    nothing = torch.zeros(3)
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True, padding_value=VOCABULARY)
    for step in range(4):
        expected = apply_all_penalties(logits.clone(), padded, nothing, nothing, torch.tensor(penalties), answers)
        assert torch.equal(processor.apply(logits.clone()), expected)
        for answer in answers:  # vLLM appends to the list that it gave
            answer.append(step * 1000)


def test_requests_without_these_limits_are_not_changed() -> None:
    from lengthen.common.engine.cpu_sampling import RepetitionPenalty, TopKTopP
    from vllm import SamplingParams

    logits = logits_of(2, 3.0)
    for kind in (RepetitionPenalty, TopKTopP):
        processor = kind(None, torch.device("cpu"), False)  # type: ignore[arg-type]
        added(processor, [(parameters(20, 0.8, 1.1), [1, 2], []), (SamplingParams(temperature=0.0), [1, 2], [])])
        changed = processor.apply(logits.clone())
        assert not torch.equal(changed[0], logits[0])
        assert torch.equal(changed[1], logits[1])


def test_a_request_that_moves_in_the_batch_keeps_its_limits() -> None:
    from lengthen.common.engine.cpu_sampling import TopKTopP
    from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

    logits = logits_of(2, 3.0)
    processor = TopKTopP(None, torch.device("cpu"), False)  # type: ignore[arg-type]
    added(processor, [(parameters(1, 1.0, 1.0), [], []), (parameters(9, 1.0, 1.0), [], [])])
    processor.update_state(BatchUpdate(1, removed=[0], added=[], moved=[(1, 0, MoveDirectionality.UNIDIRECTIONAL)]))
    assert int(processor.apply(logits[:1].clone()).isfinite().sum()) >= 9


def test_top_p_without_top_k_and_a_large_k_are_left_to_vllm() -> None:
    from lengthen.common.engine.cpu_sampling import cpu_parameters

    assert cpu_parameters(SamplingParameters(1.0, 0.95, 0, 1.0, 9, 1)) == {"top_k": 0, "top_p": 0.95, "extra_args": None}
    assert cpu_parameters(SamplingParameters(1.0, 0.95, 5000, 1.1, 9, 1))["top_k"] == 5000


def test_the_engine_gives_the_tokens_of_vllms_own_sampler() -> None:
    """24 requests of 48 tokens with the embedded model; see sampled_tokens.py."""
    program = [sys.executable, str(ROOT / "tests/sampled_tokens.py"), str(ROOT / "models/smollm2-135m-instruct"), "24", "48"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ours"] == found["theirs"]
