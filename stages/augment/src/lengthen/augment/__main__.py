"""python -m lengthen.augment --config C --output INSTRUCTIONS [--seeds FILE] [--input EARLIER]... [--benchmark FILE]..."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.cli import FILE, FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.job import Job


@stage_command("augment")
@click.option("--seeds", type=FILE, help="Your own seeds: JSON lines with id, language, instruction, category. Default: ours.")
@click.option("--input", "earlier", multiple=True, type=FOLDER, help="Instructions of an earlier iteration: not to be repeated.")
@click.option("--benchmark", "benchmarks", multiple=True, type=FILE, help="Prompts to keep clear of, beside the built-in ones.")
@click.option("--release", is_flag=True, help="The final pass: release.instructions of them, with ids of their own.")
def main(job: Job, seeds: Path | None, earlier: tuple[Path, ...], benchmarks: tuple[Path, ...], release: bool) -> None:
    """Grow a pool of instructions that deserve a long answer.

    The model continues a list of example instructions with one more; the base model judges whether it can guide a long
    text (the probability of "yes" against "no"). Exact and near duplicates are refused, and what overlaps with a prompt
    of a benchmark. Slots are dealt evenly to languages and categories; a slot is tried at most `augment.attempts` times.
    """
    from lengthen.augment.stage import augment

    augment(job, seeds, list(earlier), list(benchmarks), release)


if __name__ == "__main__":
    main()
