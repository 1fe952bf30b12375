"""python -m lengthen.evaluate --config C --output SCORES [--adapter DIR] [--benchmark FILE]"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.cli import FILE, FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.job import Job


@stage_command("evaluate", shards=True)
@click.option("--adapter", type=FOLDER, help="The generator to evaluate; none: the base model.")
@click.option("--benchmark", type=FILE, help="Your own prompts: JSON lines as in the README. Default: the built-in ones.")
def main(job: Job, adapter: Path | None, benchmark: Path | None) -> None:
    """Measure how long a model writes, and how exactly to the length that was asked for.

    Each prompt carries a demand (about, range, above, below). Every answer is kept and scored, the unfinished ones too.
    """
    from lengthen.evaluate.stage import evaluate

    evaluate(job, adapter, benchmark)


if __name__ == "__main__":
    main()
