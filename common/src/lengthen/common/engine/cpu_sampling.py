"""Repetition penalty, top-k and top-p on a CPU, as logits processors of vLLM.

On a CPU vLLM computes them with tensors of the vocabulary's size: its penalty makes masks and counts of all tokens, and its
top-p sorts all logits of each request at each step (64 x 49,152 logits: 126 ms; `topk` of the same: 2 ms). Together they took
half of the time of a small model. These processors leave the same logits, and vLLM draws the token, from the request's seed. So
the tokens are those of vLLM's own sampler.

In a step vLLM runs the penalty, then divides by the temperature, then runs top-k and top-p, then draws.
"""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from lengthen.common.engine.protocol import SamplingParameters
from torch import Tensor
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p

_MAX_TOP_K = 256  # for a larger k, and for top-p without top-k, vLLM's own functions are used
_WIDTH = 16  # floats that the CPU adds at once, see `_thresholds`

State = TypeVar("State")


def cpu_parameters(sampling: SamplingParameters) -> dict[str, Any]:
    """The arguments for vLLM's `SamplingParams`: what these processors do is in `extra_args`, and neutral for vLLM."""
    ours: dict[str, float] = {}
    theirs: dict[str, Any] = {}
    if sampling.repetition_penalty != 1:
        ours["repetition_penalty"] = sampling.repetition_penalty
    if 0 < sampling.top_k <= _MAX_TOP_K:
        ours |= {"top_k": sampling.top_k, "top_p": sampling.top_p}
    else:
        theirs = {"top_k": sampling.top_k, "top_p": sampling.top_p}
    return {**theirs, "extra_args": ours or None}


class _Processor(LogitsProcessor):  # type: ignore[misc]  # vLLM has no types
    """The part that both processors share: the state of each request that uses it, by the request's row in the batch."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        self.requests: dict[int, Any] = {}

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        process_dict_updates(self.requests, batch_update, self.new_state)

    def new_state(self, parameters: SamplingParams, prompt: list[int] | None, output: list[int]) -> Any | None:
        raise NotImplementedError


class _Seen:
    """The distinct tokens of a request's prompt and answer. `output` is vLLM's own list, to which it adds a token at each step."""

    def __init__(self, penalty: float, prompt: list[int], output: list[int]) -> None:
        self.penalty, self.output, self._read = penalty, output, 0
        self._known = set(prompt)
        self._tokens = array("q", self._known)

    def tokens(self) -> np.ndarray:
        for token in self.output[self._read :]:
            if token not in self._known:
                self._known.add(token)
                self._tokens.append(token)
        self._read = len(self.output)
        return np.frombuffer(self._tokens, dtype=np.int64)


class RepetitionPenalty(_Processor):
    """Divides positive logits of tokens that the prompt or the answer has by the penalty, and multiplies negative ones."""

    def is_argmax_invariant(self) -> bool:
        return False

    def new_state(self, parameters: SamplingParams, prompt: list[int] | None, output: list[int]) -> _Seen | None:
        penalty = (parameters.extra_args or {}).get("repetition_penalty")
        return _Seen(penalty, prompt or [], output) if penalty else None

    def apply(self, logits: Tensor) -> Tensor:
        if not self.requests:
            return logits
        seen = {row: request.tokens() for row, request in self.requests.items()}
        counts = [len(tokens) for tokens in seen.values()]
        rows = torch.from_numpy(np.repeat(np.fromiter(seen, np.int64), counts))
        tokens = torch.from_numpy(np.concatenate(list(seen.values())))
        penalties = torch.from_numpy(np.repeat(np.array([request.penalty for request in self.requests.values()], np.float32), counts))
        values = logits[rows, tokens]
        # As vLLM does: times 1 / penalty, which rounds differently from a division.
        logits[rows, tokens] = values * torch.where(values > 0, 1.0 / penalties, penalties)
        return logits


class _Limits(NamedTuple):
    top_k: int
    top_p: float


class TopKTopP(_Processor):
    """Sets the logits of all tokens but the k most likely to -inf, and of these keeps the smallest set with probability p.

    Tokens with the same logit as the k-th are all kept, as in vLLM.
    """

    def is_argmax_invariant(self) -> bool:
        return True

    def new_state(self, parameters: SamplingParams, prompt: list[int] | None, output: list[int]) -> _Limits | None:
        limits = parameters.extra_args or {}
        return _Limits(int(limits["top_k"]), limits["top_p"]) if "top_k" in limits else None

    def apply(self, logits: Tensor) -> Tensor:
        if not self.requests:
            return logits
        rows = torch.tensor(list(self.requests))
        limits = self.requests.values()
        k, p = torch.tensor([one.top_k for one in limits]), torch.tensor([one.top_p for one in limits])
        k = k.clamp(max=logits.shape[1])
        everything = len(rows) == len(logits) and bool((rows == torch.arange(len(rows))).all())
        chosen = logits if everything else logits[rows]
        lowest, exact = _thresholds(chosen, k, p)
        kept = chosen.masked_fill(chosen < lowest.unsqueeze(1), -torch.inf)
        if not exact.all():
            kept[~exact] = apply_top_k_top_p(chosen[~exact], k[~exact], p[~exact])
        if everything:
            return kept
        logits[rows] = kept
        return logits


def _thresholds(logits: Tensor, k: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest logit that top-k and top-p keep in each row, and whether it decides alone.

    It doesn't where only some of the tokens with that logit are kept: those that come last in vLLM's sort, which is not stable.
    It also doesn't where more tokens than were looked at have the k-th logit. Logits in bfloat16 are often equal.
    """
    width = min(-(-(int(k.max()) + _WIDTH) // _WIDTH) * _WIDTH, logits.shape[1])
    values = logits.topk(width, dim=1).values.flip(1)  # ascending, as vLLM's sort: sums are of the same terms in the same order
    kth = values.gather(1, (width - k).unsqueeze(1))
    values = values.masked_fill(values < kth, -torch.inf)
    masked = values.softmax(dim=1).cumsum(dim=1) <= 1 - p.unsqueeze(1)
    masked[:, -1] = False
    lowest = values.masked_fill(masked, torch.inf).amin(dim=1)
    split = (masked & (values == lowest.unsqueeze(1))).any(dim=1)
    more = (values[:, :1] == kth).squeeze(1) & (width < logits.shape[1])
    return lowest, ~(split | more)
