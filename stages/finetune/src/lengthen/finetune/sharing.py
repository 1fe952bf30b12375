"""Sequence parallelism: several ranks share each row that is too long for one (DeepSpeed-Ulysses, arXiv 2309.14509).

Each has a slice of the row's tokens. Before attention the ranks trade, so that each has all tokens of some heads, and after
it they trade back; everything else works on single tokens. The sum of the slices' losses is the row's.
"""

from __future__ import annotations

import torch
from deepspeed.runtime.sequence_parallel.ulysses_sp import UlyssesSPAttentionHF
from lengthen.finetune.rows import IGNORED
from torch import Tensor
from torch.nn.functional import pad

ATTENTION = "sdpa"  # what DeepSpeed's exchange is put around


def share_rows(model: str, ranks: int, rows_per_device: int) -> None:
    """Let every `ranks` neighbouring ranks share their rows from here on; 1: none do. All ranks have to call it."""
    if ranks > 1:
        UlyssesSPAttentionHF.register_with_transformers(model, ATTENTION, ranks, rows_per_device)


def slices(ids: Tensor, targets: Tensor, rows: int, ranks: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """(ids, targets, positions) of each of the ranks that share these rows, all of one shape.

    Args:
        ids: [fewer rows, tokens]; rows and tokens are added that weigh nothing: the exchange wants one number of rows.
    """
    width = -(-ids.shape[1] // ranks)
    fill = (0, width * ranks - ids.shape[1], 0, rows - ids.shape[0])
    positions = torch.arange(width * ranks, device=ids.device).expand(rows, -1)
    parts = pad(ids, fill), pad(targets, fill, value=IGNORED), positions
    return list(zip(*(part.split(width, dim=1) for part in parts), strict=True))
