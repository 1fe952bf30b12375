"""python -m lengthen.augment.demands --config C --input RESPONSES|EXPANSIONS… --output DATASET [--scores SCORES]… [--benchmark FILE]…"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.cli import FILE, FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.job import Job


@stage_command("augment.demands")
@click.option("--input", "folders", required=True, multiple=True, type=FOLDER, help="Responses or expansions, of any iteration.")
@click.option("--scores", multiple=True, type=FOLDER, help="A judge's grades of them (evaluate --input): low ones are left out.")
@click.option("--benchmark", "benchmarks", multiple=True, type=FILE, help="Prompts to keep clear of, beside the built-in ones.")
def main(job: Job, folders: tuple[Path, ...], scores: tuple[Path, ...], benchmarks: tuple[Path, ...]) -> None:
    """Collect long answers and give each instruction a demand about length that its answer meets.

    Taken are the answers that expand and finetune selected, long enough, at most `release.answers` of an instruction, none
    like another, none near a benchmark. The demand is drawn around the answer's real words, so it is true. The base model
    rewrites the instruction with it (`release.attempts`); where that changes more, it is inserted where the model finds it
    likeliest, or a sentence before or after says it.
    """
    from lengthen.augment.demands.stage import demands

    demands(job, list(folders), list(scores), list(benchmarks))


if __name__ == "__main__":
    main()
