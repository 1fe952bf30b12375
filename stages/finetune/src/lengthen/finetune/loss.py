"""Cross-entropy over answer tokens only, in chunks of the output layer: logits of a whole long row are never held.

16k tokens of a vocabulary of 150k are 5 GB of logits in bf16, 10 GB in float32, and the gradient as much again.
"""

from __future__ import annotations

import torch
from lengthen.finetune.tokens import IGNORED
from peft import PeftModel
from torch import Tensor, distributed, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

_MAX_LOGITS = 2**27  # in one chunk: about a gigabyte with their gradient


class AnswerLoss(nn.Module):  # type: ignore[misc]
    """A causal model that returns the sum of its answer tokens' cross-entropies.

    The sum, not the mean: the trainer divides by the answer tokens of the whole step, over all ranks, so that every token
    has the same weight whatever row or rank it is on.
    """

    def __init__(self, model: PeftModel) -> None:
        super().__init__()
        self.model = model
        self.vocabulary = int(model.get_base_model().config.get_text_config().vocab_size)
        self.chunk_tokens = max(1, _MAX_LOGITS // self.vocabulary)

    def forward(self, input_ids: Tensor, targets: Tensor, positions: Tensor | None = None, whole: bool = False) -> Tensor:
        """A scalar in float32.

        Args:
            input_ids: [rows, tokens], padded on the right: a causal model's token doesn't see what follows, so no mask is needed.
            targets: [rows, tokens], the token that follows each; IGNORED where that isn't of an answer.
            positions: [rows, tokens], of each token in its row, where this rank has a slice of it; None: whole rows.
            whole: take the logits that the model itself makes, all at once, to compare.
        """
        answer = targets != IGNORED
        inputs = {"input_ids": input_ids, "position_ids": positions, "use_cache": False}
        if whole:
            return _cross_entropy_sum(self.model(**inputs).logits[answer], targets[answer])
        decoder = self.model.get_base_model().get_decoder()  # LoRA's layers are inside
        hidden, wanted = decoder(**inputs).last_hidden_state[answer], targets[answer]
        count = _max_over_ranks(-(-len(hidden) // self.chunk_tokens), hidden.device)
        if count == 1:
            return self._chunk_loss(hidden, wanted)
        chunks = zip(hidden.tensor_split(count), wanted.tensor_split(count), strict=True)
        return torch.stack([checkpoint(self._chunk_loss, *chunk, use_reentrant=False) for chunk in chunks]).sum()

    def _chunk_loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return _cross_entropy_sum(self.model.get_base_model().get_output_embeddings()(hidden), targets)


def _max_over_ranks(count: int, device: torch.device) -> int:
    """At least 1. With ZeRO-3 every use of the output layer gathers it from all ranks, so all have to use it as often."""
    largest = torch.tensor(max(1, count), device=device)
    if distributed.is_initialized():
        distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return int(largest)


def _cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(logits.float(), targets, reduction="sum")
