"""python -m lengthen.evaluate.report runs/laptop --output runs/laptop/report.html"""

from __future__ import annotations

from pathlib import Path

import click
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.stage.command import FILE, FOLDER


@click.command(context_settings={"max_content_width": 110})
@click.argument("run", type=FOLDER)
@click.option("--output", required=True, type=FILE, help="The page, such as RUN/report.html; its charts as PNG go into RUN/report/.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed for drawing the sample pairs.")
def main(run: Path, output: Path, seed: int) -> None:
    """Write one self-contained HTML page about RUN: rows, yields, lengths, scores, losses and samples.

    RUN need not be complete: the page lists the missing stages.
    """

    def work() -> None:
        from lengthen.evaluate.report.page import write_report

        size = write_report(run, output, seed)
        click.echo(f"report: {output} ({size / 1e6:.2f} MB), charts and summary.parquet in {output.with_suffix('')}")

    with_exit_codes(work)


if __name__ == "__main__":
    main()
