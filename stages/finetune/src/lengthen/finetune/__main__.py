"""python -m lengthen.finetune --config C --input EXPANSIONS --output DIR --role generator|extender|writer [--adapter DIR]"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.stage.command import FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.stage.job import Job


@stage_command("finetune", engine=False)
@click.option(
    "--input",
    "expansions",
    required=True,
    multiple=True,
    type=FOLDER,
    help="Expansions, several are mixed; for the writer a release.",
)
@click.option("--role", required=True, type=click.Choice(["generator", "extender", "writer"]), help="What the adapter learns.")
@click.option("--adapter", type=FOLDER, help="The adapter of the iteration before, to continue training; none: a new one.")
def main(job: Job, expansions: tuple[Path, ...], role: str) -> None:
    """Train a LoRA adapter with DeepSpeed on the selected expansions, or the writer on a release.

    The generator learns instruction -> expansion. The extender learns extend prompt -> expansion; the prompt shows the
    instruction and the short answer, from which some lines are dropped. The writer learns query -> response, and uses the
    release's test split for validation. The loss covers the answer and its end token. Rows are never truncated: one that is
    longer than `finetune.max_tokens_generator` or `max_tokens_extender` goes to .rejected/.
    """
    from lengthen.finetune.stage import finetune

    finetune(job, list(expansions), role)


if __name__ == "__main__":
    main()
