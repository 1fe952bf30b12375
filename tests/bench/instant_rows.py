"""(c) Rows/s of the stage generate against distilabel's pipeline, with engines that answer at once: the cost of everything else.

Both get the same instructions and texts of some 460 words, and write what they made to disk; whole processes are timed. Ours streams
each text through the watch, checks it, keeps a journal that a kill can't destroy, rejects the texts that fail (every fiftieth is cut
in mid-sentence), sorts and commits. distilabel: LoadDataFromDicts and TextGeneration, without its cache, with its default batches of
50 rows and with batches of 1,000.
"""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from conftest import instruction_row, write
from environments import own_python
from lengthen.common.tables.definitions import INSTRUCTIONS
from measuring import ROOT, CannotMeasure, Options, in_turns, run_program
from prompts import drafts
from table import Figure

REQUIREMENTS = ["distilabel==1.5.3", "requests==2.34.2"]  # distilabel imports requests without requiring it
BATCHES = (50, 1000)
WORDS, TEXTS, CUT_EVERY = 400, 200, 50  # texts of at least 400 words have some 460
PROMPT = "Write a text about subject {}."


def measure(options: Options) -> list[Figure]:
    try:
        python, reason = own_python(options.cache / "distilabel", REQUIREMENTS), ""
    except CannotMeasure as error:
        python, reason = None, str(error)
    rows = options.size(20_000, 500)
    write_rows(options.work, rows)
    numbers = count()

    def ours() -> dict[str, Any]:
        folder = options.work / f"responses-{next(numbers)}"
        spec = {
            "stage": "generate", "engine": "instant", "config": ROOT / "configs/laptop.yaml", "texts": options.work / "texts.parquet",
            "settings": ["generate.responses=1", "generate.attempts=1"], "input": options.work / "instructions", "output": folder,
        }  # fmt: skip
        result = run_program(ROOT / "tests/bench/stage_run.py", spec)
        shutil.rmtree(folder)
        return result

    def distilabel(batch: int) -> dict[str, Any]:
        spec = {"rows": options.work / "rows.parquet", "texts": options.work / "texts.parquet", "output": options.work, "batch": batch}
        return run_program(ROOT / "tests/bench/distilabel_rows.py", spec, python or Path())

    others = {f"distilabel, {batch}": (lambda batch=batch: distilabel(batch)) for batch in BATCHES} if python else {}
    found = in_turns(options.rounds, {"ours": ours, **others}, show)
    for result in (one for side in found.values() for one in side):
        if result["rows"] + result.get("rejected", 0) != rows:
            raise RuntimeError(f"{result} accounts for other than {rows} rows")
    rate = {side: tuple(rows / one["process_seconds"] for one in results) for side, results in found.items()}
    what = f"generate, {rows:,} rows, instant engine: ours with journal, check and rejects, against distilabel in batches of {{:,}}"
    pairs = {batch: (rate["ours"], rate[f"distilabel, {batch}"]) if python else () for batch in BATCHES}
    return [Figure("c", what.format(batch), "rows/s", *pair, wanted=">= 1", skipped=reason) for batch, pair in pairs.items()]


def write_rows(folder: Path, rows: int) -> None:
    """The texts, and the same prompts as a dataset of ours and as a plain Parquet file."""
    texts = drafts(TEXTS, WORDS)
    texts[::CUT_EVERY] = [text[: len(text) * 2 // 3].rpartition(" ")[0].rstrip(".,;:!?") for text in texts[::CUT_EVERY]]
    pq.write_table(pa.table({"text": texts}), folder / "texts.parquet")
    prompts = [PROMPT.format(number) for number in range(rows)]
    pq.write_table(pa.table({"instruction": prompts}), folder / "rows.parquet")
    write(folder / "instructions", INSTRUCTIONS, [instruction_row(number, prompt) for number, prompt in enumerate(prompts)])


def show(result: dict[str, Any]) -> str:
    return f"{result['process_seconds']:.1f} s, {result['rows']} rows, {result.get('rejected', 0)} rejected"
