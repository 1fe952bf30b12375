"""Speed of forward and backward passes for the same steps in two forms: rows of similar length padded, or packed into one row.

python tests/bench/packing.py [--model models/smollm2-135m-instruct] [--rows 48] [--rounds 3]

Packed rows don't attend to each other: the positions start again at 0 for each row, and transformers derives the attention mask
from them. The forms alternate at each step, and their sums of losses are compared. The result is the reason why
`lengthen.finetune.batches` groups rows by length.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import torch
from finetune import BATCH, plan, write_rows
from lengthen.finetune import lora
from lengthen.finetune.batches import padding_share, training_steps
from lengthen.finetune.loss import AnswerLoss
from lengthen.finetune.tokens import TokenData
from torch import Tensor


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, default=Path("models/smollm2-135m-instruct"))
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "train.arrow", options.rows, options.model)
        data = TokenData(Path(folder) / "train.arrow")
        model = AnswerLoss(lora.load(plan(Path(folder), Path(folder) / "train.arrow", options.model)))
    steps = training_steps(data.lengths, 1, BATCH, BATCH, seed=1)
    grouped, packed = [], []
    for number in range(options.rounds):
        random.Random(number).shuffle(steps)
        took = {"grouped": 0.0, "packed": 0.0}
        for step in steps:
            ids, targets = data.batch(step.rows, torch.device("cpu"))
            lengths = [data.lengths[row] for row in step.rows]
            first, by_grouped = timed(model, ids, targets, None)
            second, by_packed = timed(model, *pack(ids, targets, lengths))
            if abs(first - second) > 0.02 * first:
                raise SystemExit(f"the losses of the two forms differ: {first:.4f}, {second:.4f}")
            took["grouped"] += by_grouped
            took["packed"] += by_packed
        grouped.append(sum(data.lengths) / took["grouped"])
        packed.append(sum(data.lengths) / took["packed"])
        print(f"round {number + 1}: grouped {grouped[-1]:,.0f}, packed {packed[-1]:,.0f} useful tokens/s", flush=True)
    ratio = statistics.median(grouped) / statistics.median(packed)
    print(f"{options.rows} rows, {padding_share(steps, data.lengths):.0%} padding when grouped: grouped / packed = {ratio:.2f}")


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


if __name__ == "__main__":
    main()
