"""python -m lengthen.expand --config C --input RESPONSES --output EXPANSIONS [--adapter EXTENDER]"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from lengthen.common.cli import FOLDER, stage_command

if TYPE_CHECKING:
    from lengthen.common.job import Job


@stage_command("expand", shards=True)
@click.option("--input", "responses", required=True, type=FOLDER, help="The folder of responses that generate wrote.")
@click.option("--adapter", type=FOLDER, help="The extender of the iteration before; none: the base model.")
def main(job: Job, responses: Path, adapter: Path | None) -> None:
    """Make each selected response longer, `expand.extensions` times.

    An attempt is `expand.rounds` rounds of two calls: the first writes a longer beginning from the first half of the
    draft, the second goes on from there with the whole draft in view. It counts when the text has grown by more than
    `expand.min_growth`; after `expand.attempts` the row goes to .rejected/.
    """
    from lengthen.expand.stage import expand

    expand(job, responses, adapter)


if __name__ == "__main__":
    main()
