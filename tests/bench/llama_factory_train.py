"""Train with LLaMA-Factory and time its steps. A program of part (e), run by the Python of LLaMA-Factory's own environment.

Spec: `rows`, a Parquet file of `input_ids`; `folder`; `settings`, LLaMA-Factory's. Result: `log`, for each step its useful `tokens`
and its `seconds`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

SPEC: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
os.environ["HF_HOME"] = str(Path(SPEC["folder"]) / "hf")  # nothing is left outside
os.environ["HF_HUB_OFFLINE"] = "1"

import pyarrow.parquet as pq  # noqa: E402
from datasets import Dataset, DatasetDict  # noqa: E402
from transformers import Trainer, TrainerCallback  # noqa: E402


def prepare(rows: Path, folder: Path) -> None:
    """The rows as LLaMA-Factory saves tokenized data. As in finetune.write_rows, two fifths of a row are its prompt."""
    ids: list[list[int]] = pq.read_table(rows)["input_ids"].to_pylist()
    labels = [[-100] * (len(row) * 2 // 5) + row[len(row) * 2 // 5 :] for row in ids]
    masks = [[1] * len(row) for row in ids]
    train = Dataset.from_dict({"input_ids": ids, "attention_mask": masks, "labels": labels})
    DatasetDict({"train": train}).save_to_disk(str(folder))


def main() -> None:
    # LLaMA-Factory imports it for rows with sound, and its builds on PyPI load only beside a torch with CUDA. Rows of text don't use it.
    sys.modules["torchaudio"] = ModuleType("torchaudio")
    from llamafactory.train.tuner import run_exp

    log: list[dict[str, float]] = []
    counts: list[int] = []
    step = Trainer.training_step

    def counting(self: Any, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        counts.append(int((inputs["attention_mask"] != 0).sum()))
        return step(self, model, inputs, *rest, **named)

    class Clock(TrainerCallback):
        def on_step_begin(self, *arguments: Any, **rest: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *arguments: Any, **rest: Any) -> None:
            log.append({"seconds": time.monotonic() - self.began})

    Trainer.training_step = counting
    prepare(Path(SPEC["rows"]), Path(SPEC["settings"]["tokenized_path"]))
    run_exp(SPEC["settings"], callbacks=[Clock()])
    timed = [row | {"tokens": count} for row, count in zip(log, counts, strict=True)]
    Path(sys.argv[2]).write_text(json.dumps({"log": timed}))


if __name__ == "__main__":
    main()
