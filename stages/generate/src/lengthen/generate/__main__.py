"""python -m lengthen.generate --config C --input INSTRUCTIONS --output RESPONSES [--adapter GENERATOR]"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.cli import FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.job import Job


@stage_command("generate", shards=True)
@click.option("--input", "instructions", required=True, type=FOLDER, help="The folder of instructions that augment wrote.")
@click.option("--adapter", type=FOLDER, help="The generator of the iteration before; none: the base model.")
def main(job: Job, instructions: Path, adapter: Path | None) -> None:
    """Answer each instruction `generate.responses` times.

    A text that fails the check (unfinished, looping, repeating itself, too short, ...) is written again, at most
    `generate.attempts` times; then the row goes to .rejected/ with the reason of its last attempt.
    """
    from lengthen.generate.stage import generate

    generate(job, instructions, adapter)


if __name__ == "__main__":
    main()
