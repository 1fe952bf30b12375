"""The plan in one line before anything heavy is loaded: rows, tokens, steps, longest row, and about how much memory it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lengthen.finetune.rows import TokenRows

_LOGIT_BYTES = 10 * 2**27  # `AnswerLoss` holds so many logits at once: bf16, float32 and their gradient


def describe_plan(plan: dict[str, Any], rows: TokenRows, model: Path) -> str:
    steps = -(-rows.rows // plan["rows_per_step"]) * plan["epochs"]
    memory = memory_bytes(plan, rows.longest, model)
    return (
        f"{rows.rows:,} rows, {rows.tokens:,} tokens, longest {rows.longest:,}, {rows.validation_rows} rows for validation; "
        f"{plan['epochs']:g} epochs, {steps:,.0f} steps of {plan['rows_per_step']} rows on {plan['ranks']} rank(s)"
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
    base = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    if plan["deepspeed"]["zero_optimization"]["stage"] == 3:
        base = 0 if "offload_param" in plan["deepspeed"]["zero_optimization"] else base / plan["ranks"]
    adapter = plan["lora"]["rank"] * layers * (8 * hidden + 3 * (hidden + inner))
    tokens = longest * plan["rows_per_device"] / plan["sequence_parallel"]
    layer = tokens * size * (12 * hidden + 6 * inner)
    activations = layers * tokens * size * hidden + layer if plan["gradient_checkpointing"] else layers * layer
    return float(base + adapter * (6 + 12 / plan["ranks"]) + activations + min(_LOGIT_BYTES, 10 * tokens * vocabulary))
