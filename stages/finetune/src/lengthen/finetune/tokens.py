"""The token rows of a training, as batches."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import torch
from lengthen.finetune.rows import IGNORED
from torch import Tensor


class TokenData:
    """A file that `encode_rows` wrote. Tokens and labels stay in Arrow until a batch needs them.

    `lengths` are the tokens of each row, `answers` those of its answer and end token, which the loss covers.
    """

    def __init__(self, path: Path) -> None:
        table = pq.read_table(path).combine_chunks()
        self._ids, self._labels = (table.column(name).combine_chunks() for name in ("input_ids", "labels"))
        self.lengths: list[int] = self._ids.value_lengths().to_pylist()
        self.answers = [int((labels.values.to_numpy()[1:] != IGNORED).sum()) for labels in self._labels]

    def batch(self, rows: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """(input_ids, targets), each [rows, longest], padded on the right. Without rows: a batch whose loss is 0.

        A token's target is the token after it, IGNORED where that is not one of the answer.
        """
        shape = max(1, len(rows)), max((self.lengths[row] for row in rows), default=2)
        ids, targets = torch.zeros(shape, dtype=torch.int64), torch.full(shape, IGNORED)
        for index, row in enumerate(rows):
            end = self.lengths[row]
            ids[index, :end] = torch.tensor(self._ids[row].values.to_numpy())
            targets[index, : end - 1] = torch.tensor(self._labels[row].values.to_numpy()[1:])
        return ids.to(device), targets.to(device)
