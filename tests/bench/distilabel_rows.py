"""distilabel's pipeline with an LLM that answers at once. A program of part (c), run by the Python of distilabel's own environment.

Spec: `rows` and `texts`, Parquet files; `output`, a folder; `batch`, the rows of a batch. Result: `rows`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

SPEC: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DISTILABEL_LOG_LEVEL", "WARNING")
os.environ["HF_HOME"] = str(Path(SPEC["output"]) / "hf")  # nothing is left outside

from distilabel.models.llms.base import LLM  # noqa: E402
from distilabel.pipeline import Pipeline  # noqa: E402
from distilabel.steps import LoadDataFromDicts  # noqa: E402
from distilabel.steps.tasks import TextGeneration  # noqa: E402
from pydantic import PrivateAttr  # noqa: E402


class InstantLLM(LLM):
    """Answers with the prepared text whose number is at the prompt's end, as `engines.InstantEngine` does."""

    texts: str
    _texts: list[str] = PrivateAttr(default_factory=list)

    @property
    def model_name(self) -> str:
        return "instant"

    def load(self) -> None:
        super().load()
        self._texts = pq.read_table(self.texts)["text"].to_pylist()

    def generate(self, inputs: list[Any], num_generations: int = 1) -> list[Any]:
        numbers = [int(messages[-1]["content"].rpartition(" ")[2].rstrip(".")) % len(self._texts) for messages in inputs]
        return [{"generations": [self._texts[number]], "statistics": {}} for number in numbers]


def main() -> None:
    rows = pq.read_table(SPEC["rows"]).to_pylist()
    with Pipeline(name="instant", cache_dir=str(Path(SPEC["output"]) / "distilabel-cache")) as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=SPEC["batch"])
        load >> TextGeneration(llm=InstantLLM(texts=SPEC["texts"]), input_batch_size=SPEC["batch"])
    made = pipeline.run(use_cache=False)["default"]["train"]
    made.to_parquet(str(Path(SPEC["output"]) / "distilabel.parquet"))
    Path(sys.argv[2]).write_text(json.dumps({"rows": sum(text is not None for text in made["generation"])}))


if __name__ == "__main__":
    main()
