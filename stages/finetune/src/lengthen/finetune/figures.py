"""What finetune's manifest says of a training."""

from __future__ import annotations

from typing import Any

from lengthen.finetune.rows import TokenRows

_OF_OUTCOME = ("train_loss", "eval_loss_before", "eval_loss", "steps", "ranks", "tokens_per_second", "padding_share", "peak_memory_bytes")


def figures(rows: TokenRows, outcome: dict[str, Any]) -> dict[str, Any]:
    """The outcome's figures, and where each token of the input is: trained on, used for validation, or in a rejected row."""
    return {name: outcome[name] for name in _OF_OUTCOME} | {
        "tokens_in": rows.tokens + rows.validation_tokens + rows.rejected_tokens,
        "tokens_trained": rows.tokens,
        "tokens_validation": rows.validation_tokens,
        "tokens_rejected": rows.rejected_tokens,
    }
