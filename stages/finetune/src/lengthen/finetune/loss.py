"""Cross-entropy over answer tokens only, with the output layer in pieces: logits of a whole long row are never held.

16k tokens of a vocabulary of 150k are 5 GB of logits in bf16, 10 GB in float32, and the gradient as much again.
"""

from __future__ import annotations

import torch
from lengthen.finetune.rows import IGNORED
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

_LOGITS = 2**27  # at once: about a gigabyte with their gradient


class AnswerLoss(nn.Module):  # type: ignore[misc]
    """A causal model that returns the sum of its answer tokens' cross-entropies.

    The sum, not the mean: the trainer divides by the answer tokens of the whole step, over all ranks, so that every token
    weighs the same whatever row or rank it is on.
    """

    def __init__(self, model: PeftModel) -> None:
        super().__init__()
        self.model = model
        self.vocabulary = int(model.get_base_model().config.get_text_config().vocab_size)
        self.piece = max(1, _LOGITS // self.vocabulary)

    def forward(self, input_ids: Tensor, labels: Tensor, whole: bool = False) -> Tensor:
        """A scalar in float32.

        Args:
            input_ids: [rows, tokens], padded on the right: what follows a token doesn't touch it, so no mask is needed.
            labels: [rows, tokens], IGNORED outside of answers.
            whole: let the model make its logits by itself, all at once, to compare.
        """
        targets = labels[:, 1:]
        answer = targets != IGNORED
        if whole:
            return _summed(self.model(input_ids=input_ids, use_cache=False).logits[:, :-1][answer], targets[answer])
        decoder = self.model.get_base_model().get_decoder()  # LoRA's layers are inside
        hidden = decoder(input_ids=input_ids, use_cache=False).last_hidden_state[:, :-1][answer]
        pieces = list(zip(hidden.split(self.piece), targets[answer].split(self.piece), strict=True))
        if len(pieces) == 1:
            return self._piece(*pieces[0])
        return torch.stack([checkpoint(self._piece, *piece, use_reentrant=False) for piece in pieces]).sum()

    def _piece(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return _summed(self.model.get_base_model().get_output_embeddings()(hidden), targets)


def _summed(logits: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(logits.float(), targets, reduction="sum")
