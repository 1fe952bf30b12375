"""python -m lengthen.expand --config C --input RESPONSES --output EXPANSIONS [--adapter EXTENDER]"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.stage.command import FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.stage.job import Job


@stage_command("expand", shards=True)
@click.option("--input", "responses", required=True, type=FOLDER, help="The responses, a dataset that generate wrote.")
@click.option("--adapter", type=FOLDER, help="The extender of the previous iteration. Default: the base model.")
def main(job: Job, responses: Path) -> None:
    """Make each selected response longer, `expand.extensions` times.

    An attempt has `expand.rounds` rounds of two calls: the first writes a longer beginning from the first half of the
    draft, the second continues it with the whole draft in the prompt. The attempt is accepted if words of the expansion /
    words of the response > `expand.min_growth`. After `expand.attempts` attempts the row is rejected and written to
    .rejected/.
    """
    from lengthen.expand.stage import expand

    expand(job, responses)


if __name__ == "__main__":
    main()
