"""python -m lengthen.evaluate.report runs/laptop --output runs/laptop/report.html"""

from __future__ import annotations

from pathlib import Path

import click
from lengthen.common.cli import FILE, FOLDER, with_exit_codes


@click.command(context_settings={"max_content_width": 110})
@click.argument("run", type=FOLDER)
@click.option("--output", required=True, type=FILE, help="The page, such as RUN/report.html; its charts as PNG go into RUN/report/.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Chooses the sample pairs.")
def main(run: Path, output: Path, seed: int) -> None:
    """One self-contained HTML page about RUN: what was made, how long the models write, and how well.

    Works on a run that isn't finished: what is missing is said.
    """

    def work() -> None:
        from lengthen.evaluate.report.page import write_report

        size = write_report(run, output, seed)
        click.echo(f"report: {output} ({size / 1e6:.2f} MB), charts and summary.parquet in {output.with_suffix('')}")

    with_exit_codes(work)


if __name__ == "__main__":
    main()
