"""python -m lengthen.augment --config C --output INSTRUCTIONS [--seeds FILE] [--input EARLIER]... [--benchmark FILE]..."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.stage.command import FILE, FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.stage.job import Job


@stage_command("augment")
@click.option("--seeds", type=FILE, help="Your seeds instead of the built-in ones: JSON lines with id, language, instruction, category.")
@click.option("--input", "earlier", multiple=True, type=FOLDER, help="Instructions of an earlier iteration; their duplicates are rejected.")
@click.option("--benchmark", "benchmarks", multiple=True, type=FILE, help="More benchmark prompts to decontaminate against.")
@click.option("--release", is_flag=True, help="Make the instructions of the release: release.instructions rows with other ids.")
def main(job: Job, seeds: Path | None, earlier: tuple[Path, ...], benchmarks: tuple[Path, ...], release: bool) -> None:
    """Generate new instructions for long texts from a pool of examples (self-instruct).

    The model continues a list of example instructions with one more. The base model then judges whether the new
    instruction can guide a long text: the probability of "yes" against "no". Exact duplicates, near duplicates and
    instructions that overlap with a benchmark prompt are rejected. The rows are divided evenly among languages and
    categories; each row has at most `augment.attempts` attempts.
    """
    from lengthen.augment.stage import augment

    augment(job, seeds, earlier, benchmarks, release)


if __name__ == "__main__":
    main()
