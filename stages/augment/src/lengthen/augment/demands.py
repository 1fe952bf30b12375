"""python -m lengthen.augment.demands --config C --input RESPONSES|EXPANSIONS… --output DATASET [--scores SCORES]… [--benchmark FILE]…"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.stage.command import FILE, FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.stage.job import Job


@stage_command("augment.demands")
@click.option("--input", "folders", required=True, multiple=True, type=FOLDER, help="Responses or expansions of any iteration.")
@click.option("--scores", multiple=True, type=FOLDER, help="A judge's grades of these rows (evaluate --input); low grades are rejected.")
@click.option("--benchmark", "benchmarks", multiple=True, type=FILE, help="More benchmark prompts to decontaminate against.")
def main(job: Job, folders: tuple[Path, ...], scores: tuple[Path, ...], benchmarks: tuple[Path, ...]) -> None:
    """Collect long answers, and add to each instruction a length demand that its answer meets.

    Only answers that expand and finetune selected are collected: long enough, at most `release.answers` of an
    instruction, no near duplicates, no benchmark prompts. The demand is drawn around the real number of words, so it
    is always true. The base model rewrites the instruction with the demand (`release.attempts`). If the result
    changes more than the length, the demand is inserted at the most probable position, or added as a sentence.
    """
    from lengthen.augment.release.dataset import demands

    demands(job, folders, scores, benchmarks)


if __name__ == "__main__":
    main()
