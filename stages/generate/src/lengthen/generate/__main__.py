"""python -m lengthen.generate --config C --input INSTRUCTIONS --output RESPONSES [--adapter GENERATOR]"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.stage.command import FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.stage.job import Job


@stage_command("generate", shards=True)
@click.option("--input", "instructions", required=True, type=FOLDER, help="The instructions, a dataset that augment wrote.")
@click.option("--adapter", type=FOLDER, help="The generator of the previous iteration. Default: the base model.")
def main(job: Job, instructions: Path) -> None:
    """Answer each instruction `generate.responses` times.

    A text that fails the check (unfinished, loop, repetition, too short, ...) is generated again with another seed. After
    `generate.attempts` attempts the row is rejected, with the reason of its last attempt, and written to .rejected/.
    """
    from lengthen.generate.stage import generate

    generate(job, instructions)


if __name__ == "__main__":
    main()
