"""(b) Tokens/s of expand as we run it, against the same rows in lock step, as the reference implementation runs them.

The reference expands all rows round by round: each round, and each of its two phases, is one call of vLLM with all rows, and the next
one starts when the longest text is finished. Here both sides run the same stage, engine, seeds and settings; one of them holds a
row's next call back until all other rows made theirs. One attempt per row, because the reference has no further ones.
Rows are twice the sequences that the engine decodes at the same time. The fewer rows, the more lock step costs.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from conftest import response_row, write
from lengthen.common.tables.definitions import RESPONSES
from measuring import ROOT, Options, in_turns, run_program
from prompts import drafts, instructions
from raw_vllm import vllm_environment
from table import Figure

DRAFT_WORDS = 150


def measure(options: Options) -> list[Figure]:
    rows, sequences = options.size(32, 4), options.size(16, 2)
    texts = zip(instructions(rows), drafts(rows, options.size(DRAFT_WORDS, 20)), strict=True)
    content = [response_row(number, draft) | {"instruction": text} for number, (text, draft) in enumerate(texts)]
    responses = write(options.work / "lock-step-responses", RESPONSES, content)
    numbers = count()

    def run(lock_step: bool) -> dict[str, Any]:
        folder = options.work / f"lock-step-{next(numbers)}"
        return run_program(
            ROOT / "tests/bench/stage_run.py",
            {
                "stage": "expand", "engine": "vllm", "lock_step": lock_step, "config": ROOT / "configs/laptop.yaml", "output": folder,
                "input": responses, "settings": settings(options, rows, sequences),
            },
            environment=vllm_environment(),
        )  # fmt: skip

    found = in_turns(options.rounds, {"ours": lambda: run(False), "lock step": lambda: run(True)}, show)
    rates = [tuple(one["tokens"] / one["engine_seconds"] for one in found[side]) for side in ("ours", "lock step")]
    what = f"expand, {rows} rows in {sequences} sequences, 2 rounds of 2 phases: independent rows against lock step"
    return [Figure("b", what, "tokens/s", *rates)]


def settings(options: Options, rows: int, sequences: int) -> list[str]:
    chosen = {
        "model.path": options.model, "engine.max_num_seqs": sequences, "engine.rows_in_flight": rows, "expand.attempts": 1,
        "expand.rounds": options.size(2, 1), "expand.sampling.max_tokens": options.size(900, 250), "expand.min_growth": 1.01,
        "expand.length_biased_selection": "false", "expand.max_similarity": 1, "check.min_words": 5,
    }  # fmt: skip
    return [f"{name}={value}" for name, value in chosen.items()]


def show(result: dict[str, Any]) -> str:
    return f"{result['tokens']} tokens in {result['engine_seconds']:.1f} s, {result['rows']} rows, {result['rejected']} rejected"
