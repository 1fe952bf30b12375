"""The token rows of a training, as batches."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import torch
from lengthen.finetune.token_file import map_table
from torch import Tensor

IGNORED = -100  # the target of a token that the loss leaves out


class TokenData:
    """A file that `encode_rows` wrote. Tokens stay on the disk until a batch needs them.

    `lengths` are the tokens of each row, `answers` those of its answer and end token, which the loss covers.
    """

    def __init__(self, path: Path) -> None:
        table = map_table(path)
        self._ids = table.column("input_ids")
        self.lengths: list[int] = pc.list_value_length(self._ids).to_pylist()
        self._prompts: list[int] = table.column("prompt_tokens").to_pylist()
        self.answers: list[int] = [length - prompt for length, prompt in zip(self.lengths, self._prompts, strict=True)]

    def batch(self, rows: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """(input_ids, targets), each [rows, longest], padded on the right. Without rows: a batch whose loss is 0.

        A token's target is the token after it, IGNORED where that is not one of the answer.
        """
        shape = max(1, len(rows)), max((self.lengths[row] for row in rows), default=2)
        ids, targets = torch.zeros(shape, dtype=torch.int64), torch.full(shape, IGNORED)
        for index, row in enumerate(rows):
            end, prompt = self.lengths[row], self._prompts[row]  # a prompt is never empty: chat templates begin it
            ids[index, :end] = torch.tensor(self._ids[row].values.to_numpy())
            targets[index, prompt - 1 : end - 1] = ids[index, prompt:end]
        return ids.to(device), targets.to(device)
