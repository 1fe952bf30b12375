"""A stage's yield, tokens and speed: measured in a run's manifests where they exist, else assumed.

The assumptions come from the paper (arXiv 2410.23933: a base model writes about 1,000 words, and each iteration doubles them)
and from this project's own runs of small models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lengthen.common.store.manifest import Manifest, read_manifest

BASE_WORDS = 1000
TOKENS_PER_WORD = 1.4
ENGINE_TOKENS = 2500.0  # a second, of one engine with a 7B model on a GPU with 80 GB, at long sequences
TRAINING_TOKENS = 2500.0  # a second, of one GPU: LoRA on 7B, bf16, gradient checkpointing: 46 GFLOP a token at 115 TFLOP/s

ASSUMED = (
    f"the base model writes {BASE_WORDS:,} words an answer, each iteration doubles them; {TOKENS_PER_WORD} tokens a word",
    "augment spends 150 tokens on an instruction; 95 % of the answers are kept, at 1.3 times their tokens",
    "60 % of the drafts are expanded, with 13 tokens generated for each word of an expansion (measured on a 135M model)",
    f"an engine generates {ENGINE_TOKENS:,.0f} tokens/s, a GPU trains on {TRAINING_TOKENS:,.0f} tokens/s (a 7B model on 80 GB)",
)


@dataclass(frozen=True)
class Rate:
    """Yield, tokens and speed of one stage in one iteration."""

    yielded: float  # rows out for a row in
    tokens: float  # generated, or trained on in one epoch, for a row in
    speed: float  # tokens a second, of one engine or training process
    source: str = "assumed"


def words(iteration: int) -> float:
    """Words of an answer of the generator that iteration `iteration` starts with."""
    return BASE_WORDS * 2.0 ** max(0, iteration - 1)


def assumed(stage: str, iteration: int, max_tokens: int) -> Rate:
    answer = min(words(iteration) * TOKENS_PER_WORD, max_tokens)
    longer = min(words(iteration + 1) * TOKENS_PER_WORD, 2 * max_tokens)
    return {
        "augment": Rate(1.0, 150.0, ENGINE_TOKENS),
        "generate": Rate(0.95, 1.3 * answer, ENGINE_TOKENS),
        "expand": Rate(0.6, 0.6 * 13 * longer / TOKENS_PER_WORD, ENGINE_TOKENS),
        "generator": Rate(1.0, longer, TRAINING_TOKENS),
        "extender": Rate(1.0, answer + longer, TRAINING_TOKENS),
        "evaluate": Rate(1.0, longer if iteration else answer, ENGINE_TOKENS),
    }[stage]


_FOLDERS = {"augment": "instructions", "generate": "responses", "expand": "expansions", "evaluate": "scores"}


def measured(run: Path, stage: str, iteration: int) -> Rate | None:
    """From the newest iteration up to `iteration` with this stage. Answers are assumed to double in each iteration after it."""
    for before in range(iteration, -1, -1):
        manifest = read_manifest(run / f"iter-{before:02d}" / _FOLDERS.get(stage, stage))
        if manifest and manifest.rows_in and manifest.tokens and manifest.seconds:
            growth = 1.0 if stage == "augment" else 2.0 ** (iteration - before)
            return _rate(manifest, growth, f"iteration {before}")
    return None


def _rate(manifest: Manifest, growth: float, source: str) -> Rate:
    left = manifest.rows_in - manifest.rejected.get("selected_out", 0)  # the plan computes the selection itself
    yielded = manifest.rows_out / left if left else 0.0
    trained = manifest.summary.get("tokens_per_second")
    speed = float(trained) / max(1, int(manifest.summary.get("ranks", 1))) if trained else manifest.tokens / manifest.seconds
    return Rate(yielded, growth * manifest.tokens / max(1, left), speed, source)
