"""The token rows of a training, as batches."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import torch
from lengthen.finetune.rows import IGNORED
from torch import Tensor


class TokenData:
    """A file that `encode_rows` wrote: tokens and labels stay in Arrow until a batch wants them.

    `lengths` are tokens of each row, `answers` those of its answer and end token, which the loss covers.
    """

    def __init__(self, path: Path) -> None:
        table = pq.read_table(path).combine_chunks()
        self._ids, self._labels = (table.column(name).combine_chunks() for name in ("input_ids", "labels"))
        self.lengths: list[int] = self._ids.value_lengths().to_pylist()
        self.answers = [int((labels.values.to_numpy()[1:] != IGNORED).sum()) for labels in self._labels]

    def batch(self, rows: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """(input_ids, labels), each [rows, longest], padded on the right. No rows: a batch that weighs nothing."""
        if not rows:
            return torch.zeros(1, 2, dtype=torch.int64, device=device), torch.full((1, 2), IGNORED, device=device)
        shape = len(rows), max(self.lengths[row] for row in rows)
        ids, labels = torch.zeros(shape, dtype=torch.int64), torch.full(shape, IGNORED)
        for place, row in enumerate(rows):
            for target, source in ((ids, self._ids), (labels, self._labels)):
                target[place, : self.lengths[row]] = torch.tensor(source[row].values.to_numpy())
        return ids.to(device), labels.to(device)
