"""python -m lengthen.evaluate --config C --output SCORES [--adapter DIR] [--benchmark FILE | --input EXPANSIONS]"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.stage.command import FILE, FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.stage.job import Job


@stage_command("evaluate", shards=True)
@click.option("--adapter", type=FOLDER, help="The generator to evaluate. Default: the base model.")
@click.option("--benchmark", type=FILE, help="A file in the format of LonGen, LongBench-Write, LongWrite-Ruler or ours. Default: built in.")
@click.option("--input", "data", type=FOLDER, help="Score a sample of this training data (expansions) instead.")
def main(job: Job, benchmark: Path | None, data: Path | None) -> None:
    """Measure how long a model's answers are, how close to the required length, and how good.

    Each prompt has a length demand (about, range, above, below). Every answer becomes a row of scores, also an
    unfinished one. --limit K takes K prompts at even distances from the benchmark.
    """
    from lengthen.evaluate.stage import evaluate

    evaluate(job, benchmark, data)


if __name__ == "__main__":
    main()
