"""Estimates before a training: its rows, tokens, steps and longest row, the memory that it takes, and its duration."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from lengthen.finetune.batches import count_steps
from lengthen.finetune.rows import TokenRows

_LOGIT_BYTES = 10 * 2**27  # `AnswerLoss` holds at most 2**27 logits at once: in bf16, in float32, and their gradient

# Share of the matmul throughput that a training reaches; attention, norms and the adapter take the rest.
_EFFICIENCY = 0.25


def describe_training(plan: dict[str, Any], rows: TokenRows, model: Path) -> str:
    """The plan in one line."""
    steps = count_steps(rows.rows, plan["num_train_epochs"], plan["train_batch_size"])
    memory = memory_bytes(plan, rows.longest, model)
    return (
        f"{rows.rows:,} rows, {rows.tokens:,} tokens, longest {rows.longest:,}, {rows.validation_rows} rows for validation; "
        f"{plan['num_train_epochs']:g} epochs, {steps:,} steps of {plan['train_batch_size']} rows on {plan['ranks']} rank(s)"
        + (f"; about {memory / 2**30:.1f} GiB a rank" if memory else "")
    )


def memory_bytes(plan: dict[str, Any], longest: int, model: Path) -> float | None:
    """Memory of one rank at its longest row, without libraries: base weights, adapter, activations, logits.

    The base takes 2 bytes a parameter (4 in float32). A parameter of the adapter takes 2 bytes, 4 for its gradient, and 12
    that ZeRO divides among the ranks (float32 weight and two moments). Activations are the inputs of each layer's linear
    layers; with gradient checkpointing each layer's own input, and those of one layer.

    Returns:
        None for a model whose configuration doesn't have the usual names.
    """
    shape = json.loads((model / "config.json").read_text())
    try:
        hidden, inner, layers, vocabulary = (shape[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size"))
    except KeyError:
        return None
    size = 4 if plan["dtype"] == "float32" else 2
    base: float = size * sum(_parameter_count(file) for file in model.glob("*.safetensors"))
    if plan["deepspeed"]["zero_optimization"]["stage"] == 3:
        base = 0 if "offload_param" in plan["deepspeed"]["zero_optimization"] else base / plan["ranks"]
    adapter = plan["lora"]["r"] * layers * (8 * hidden + 3 * (hidden + inner))
    tokens = longest * plan["per_device_train_batch_size"] / plan["sequence_parallel_size"]
    layer = tokens * size * (12 * hidden + 6 * inner)
    activations = layers * tokens * size * hidden + layer if plan["gradient_checkpointing"] else layers * layer
    return float(base + adapter * (6 + 12 / plan["ranks"]) + activations + min(_LOGIT_BYTES, 10 * tokens * vocabulary))


def _parameter_count(file: Path) -> int:
    """Of a safetensors file, from its header: its size says nothing, the file may be in another precision than the training."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def training_seconds(plan: dict[str, Any], tokens: int, parameters: float, throughput: float) -> float:
    """Estimated duration of a training: 2 operations a parameter and token, forward and backward; the base is frozen.

    Args:
        tokens: of the rows, once.
        parameters: of the whole model.
        throughput: floating-point operations per second of one rank's matrix multiplication.
    """
    passes = 3 if plan["gradient_checkpointing"] else 2  # gradient checkpointing adds a second forward pass
    return float(passes * 2 * parameters * tokens * plan["num_train_epochs"] / (plan["ranks"] * throughput * _EFFICIENCY))
