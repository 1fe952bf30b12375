"""The plan in one line before anything heavy is loaded: rows, tokens, steps, longest row, and about how much memory it takes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from lengthen.finetune.batches import count_steps
from lengthen.finetune.rows import TokenRows

_LOGIT_BYTES = 10 * 2**27  # `AnswerLoss` holds so many logits at once: bf16, float32 and their gradient

# Of a bare matrix product's speed, what a training reaches: the rest goes to attention, norms and the adapter.
_EFFICIENCY = 0.25


def describe_plan(plan: dict[str, Any], rows: TokenRows, model: Path) -> str:
    steps = count_steps(rows.rows, plan["epochs"], plan["rows_per_step"])
    memory = memory_bytes(plan, rows.longest, model)
    return (
        f"{rows.rows:,} rows, {rows.tokens:,} tokens, longest {rows.longest:,}, {rows.validation_rows} rows for validation; "
        f"{plan['epochs']:g} epochs, {steps:,} steps of {plan['rows_per_step']} rows on {plan['ranks']} rank(s)"
        + (f"; about {memory / 2**30:.1f} GiB a rank" if memory else "")
    )


def memory_bytes(plan: dict[str, Any], longest: int, model: Path) -> float | None:
    """Of one rank at its longest row, beyond the libraries: weights, adapter, activations, logits. None for an unknown model.

    The base in 2 bytes a parameter (4 in float32); an adapter's parameter in 2 + 4 (gradient) bytes, and 12 (float32 weight
    and two moments) over the ranks; of every layer the inputs of its linear layers (with checkpointing: its own input, and
    one layer's).
    """
    shape = json.loads((model / "config.json").read_text())
    try:
        hidden, inner, layers, vocabulary = (shape[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size"))
    except KeyError:
        return None
    size = 4 if plan["dtype"] == "float32" else 2
    base: float = size * sum(_numbers(file) for file in model.glob("*.safetensors"))
    if plan["deepspeed"]["zero_optimization"]["stage"] == 3:
        base = 0 if "offload_param" in plan["deepspeed"]["zero_optimization"] else base / plan["ranks"]
    adapter = plan["lora"]["rank"] * layers * (8 * hidden + 3 * (hidden + inner))
    tokens = longest * plan["rows_per_device"] / plan["sequence_parallel"]
    layer = tokens * size * (12 * hidden + 6 * inner)
    activations = layers * tokens * size * hidden + layer if plan["gradient_checkpointing"] else layers * layer
    return float(base + adapter * (6 + 12 / plan["ranks"]) + activations + min(_LOGIT_BYTES, 10 * tokens * vocabulary))


def _numbers(file: Path) -> int:
    """How many numbers a safetensors file holds, from its header: the file may be in another precision than the training."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def seconds(plan: dict[str, Any], tokens: int, weights: float, speed: float) -> float:
    """About how long a training takes: 2 operations a weight and token, forward and backward, the base frozen.

    Args:
        tokens: of the rows, once.
        weights: of the whole model.
        speed: operations a second of one rank's matrix products.
    """
    passes = 3 if plan["gradient_checkpointing"] else 2  # with checkpointing forward twice
    return float(passes * 2 * weights * tokens * plan["epochs"] / (plan["ranks"] * speed * _EFFICIENCY))
