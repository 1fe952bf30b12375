"""(e) Speed of forward and backward passes for the same steps in two forms: rows of similar length padded, or packed into one row.

Packed rows don't attend to each other: the positions start again at 0 for each row, and transformers derives the attention mask
from them. The forms alternate at each step, and their sums of losses are compared. The result is the reason why
`lengthen.finetune.batches` groups rows by length.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import torch
from finetune import BATCH, ROWS, plan, write_rows
from lengthen.finetune import lora
from lengthen.finetune.batches import padding_share, training_steps
from lengthen.finetune.loss import AnswerLoss
from lengthen.finetune.tokens import TokenData
from measuring import Options, note
from table import Figure
from torch import Tensor


def measure(options: Options) -> list[Figure]:
    rows, file = options.size(ROWS, 4), options.work / "packing.arrow"
    write_rows(file, rows, options.model)
    data, model = TokenData(file), AnswerLoss(lora.load(plan(options.work, file, options.model)))
    steps = training_steps(data.lengths, 1, BATCH, BATCH, seed=1)
    grouped, packed = [], []
    for number in range(options.rounds):
        random.Random(number).shuffle(steps)
        took = [alternate(model, data, step.rows) for step in steps]
        grouped.append(sum(data.lengths) / sum(seconds for seconds, _ in took))
        packed.append(sum(data.lengths) / sum(seconds for _, seconds in took))
        note(f"  round {number + 1}: grouped {grouped[-1]:,.0f}, packed {packed[-1]:,.0f} useful tokens/s")
    what = f"passes over {rows} rows: of similar length, {padding_share(steps, data.lengths):.0%} padding, against packed into one row"
    return [Figure("e", what, "tokens/s", tuple(grouped), tuple(packed))]


def alternate(model: AnswerLoss, data: TokenData, rows: Sequence[int]) -> tuple[float, float]:
    """Seconds of one step in both forms."""
    ids, targets = data.batch(rows, torch.device("cpu"))
    first, by_grouped = timed(model, ids, targets, None)
    second, by_packed = timed(model, *pack(ids, targets, [data.lengths[row] for row in rows]))
    if abs(first - second) > 0.02 * first:
        raise RuntimeError(f"the losses of the two forms differ: {first:.4f}, {second:.4f}")
    return by_grouped, by_packed


def timed(model: AnswerLoss, ids: Tensor, targets: Tensor, positions: Tensor | None) -> tuple[float, float]:
    """(sum of losses, seconds) of one forward and backward pass."""
    began = time.monotonic()
    loss = model(ids, targets, positions)
    loss.backward()
    model.zero_grad()
    return float(loss.detach()), time.monotonic() - began


def pack(ids: Tensor, targets: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, targets, positions), each [1, tokens]: the rows without their padding, concatenated."""
    rows = [row[:length] for row, length in zip(ids, lengths, strict=True)]
    wanted = [row[:length] for row, length in zip(targets, lengths, strict=True)]
    positions = [torch.arange(length) for length in lengths]
    ids, targets, where = (torch.cat(parts)[None] for parts in (rows, wanted, positions))
    return ids, targets, where
