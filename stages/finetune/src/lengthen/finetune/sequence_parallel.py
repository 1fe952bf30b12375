"""Sequence parallelism: several ranks share each row that is too long for one (DeepSpeed-Ulysses, arXiv 2309.14509).

Each rank has a slice of the row's tokens. Around attention an all-to-all exchange gives each rank all tokens of some heads,
and takes them back; everything else works on single tokens. The sum of the slices' losses is the row's.
"""

from __future__ import annotations

import torch
from deepspeed.runtime.sequence_parallel.ulysses_sp import UlyssesSPAttentionHF
from lengthen.finetune.tokens import IGNORED
from torch import Tensor
from torch.nn.functional import pad

ATTENTION = "sdpa"  # the attention that DeepSpeed's exchange is put around


def enable_sequence_parallel(model: str, ranks: int, rows_per_device: int) -> None:
    """From here on every `ranks` neighbouring ranks share their rows; 1: none do. All ranks have to call it."""
    if ranks > 1:
        UlyssesSPAttentionHF.register_with_transformers(model, ATTENTION, ranks, rows_per_device)


def slices(ids: Tensor, targets: Tensor, rows: int, ranks: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """(ids, targets, positions) of each of the ranks that share these rows, all of one shape.

    Args:
        ids: [at most `rows`, tokens]; padded with rows and tokens that the loss ignores: the exchange needs equal shapes.
    """
    width = -(-ids.shape[1] // ranks)
    fill = (0, width * ranks - ids.shape[1], 0, rows - ids.shape[0])
    positions = torch.arange(width * ranks, device=ids.device).expand(rows, -1)
    parts = pad(ids, fill), pad(targets, fill, value=IGNORED), positions
    return list(zip(*(part.split(width, dim=1) for part in parts), strict=True))
