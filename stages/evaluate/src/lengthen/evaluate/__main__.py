"""python -m lengthen.evaluate --config C --output SCORES [--adapter DIR] [--benchmark FILE | --input EXPANSIONS]"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.cli import FILE, FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.job import Job


@stage_command("evaluate", shards=True)
@click.option("--adapter", type=FOLDER, help="The generator to evaluate; none: the base model.")
@click.option("--benchmark", type=FILE, help="Prompts in the form of LonGen, LongBench-Write, LongWrite-Ruler or ours. Default: built in.")
@click.option("--input", "data", type=FOLDER, help="Score a sample of this training data (expansions) instead.")
def main(job: Job, adapter: Path | None, benchmark: Path | None, data: Path | None) -> None:
    """Measure how long a model writes, how exactly to the length that was asked for, and how well.

    Each prompt carries a demand (about, range, above, below). Every answer is kept and scored, the unfinished ones too.
    --limit takes so many prompts, spread evenly over the benchmark.
    """
    from lengthen.evaluate.stage import evaluate

    evaluate(job, adapter, benchmark, data)


if __name__ == "__main__":
    main()
