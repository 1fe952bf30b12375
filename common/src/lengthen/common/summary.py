"""What an iteration did: a table of its stages, and how the generator writes against the base model.

python -m lengthen.common.summary runs/laptop --iteration 1
"""

from __future__ import annotations

from pathlib import Path

import click
from lengthen.common.bootstrap import estimate
from lengthen.common.cli import FOLDER, with_exit_codes
from lengthen.common.errors import UserError
from lengthen.common.score_figures import by_prompt
from lengthen.common.store.manifest import Manifest, read_manifest
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables import SCORES
from rich import box
from rich.console import Console
from rich.table import Table

STAGES = ("instructions", "responses", "expansions", "generator", "extender", "scores")


def iteration_folder(run: Path, iteration: int) -> Path:
    return run / f"iter-{iteration:02d}"


def table_of(run: Path, iteration: int) -> Table:
    """One line a stage, from the manifests: rows in, out, rejected by reason; mean words, tokens, tokens/s, seconds.

    Raises:
        UserError: a stage of the iteration isn't complete.
    """
    table = Table(title=f"{run}, iteration {iteration}", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, title_justify="left")
    for name in ("stage", "in", "out", "rejected", "words", "tokens", "tok/s", "s"):
        table.add_column(name, justify="left" if name in ("stage", "rejected") else "right", no_wrap=True)
    for stage in STAGES:
        folder = iteration_folder(run, iteration) / stage
        manifest = read_manifest(folder)
        if manifest is None:
            raise UserError(f"{folder} is not complete; run `make iteration N={iteration}`")
        table.add_row(stage, *_cells(manifest))
    return table


def _cells(manifest: Manifest) -> list[str]:
    rejected = "\n".join(f"{reason} {count}" for reason, count in sorted(manifest.rejected.items(), key=lambda item: -item[1]))
    words = manifest.summary.get("mean_words")
    speed = f"{manifest.tokens / manifest.seconds:,.0f}" if manifest.seconds and manifest.tokens else "-"
    return [
        f"{manifest.rows_in:,}",
        f"{manifest.rows_out:,}",
        rejected or "-",
        f"{words:,.0f}" if words is not None else "-",
        f"{manifest.tokens:,}",
        speed,
        f"{manifest.seconds:,.0f}",
    ]


def verdict(run: Path, iteration: int) -> str:
    """Mean words of base and generator on the same prompts, with a 95 % bootstrap interval of the difference."""
    base, tuned = (_words(run, number) for number in (0, iteration))
    shared = sorted(base.keys() & tuned.keys())
    difference = estimate([tuned[prompt] - base[prompt] for prompt in shared])
    if difference is None:
        raise UserError(f"{run}: the base model and iteration {iteration} were evaluated on different benchmarks; evaluate one again")
    before, after = (sum(words[prompt] for prompt in shared) / len(shared) for words in (base, tuned))
    return (
        f"iteration {iteration}: the generator writes {after:,.0f} words a prompt, the base model {before:,.0f}: "
        f"{difference.mean:+,.0f} (95 % interval {difference.low:+,.0f} to {difference.high:+,.0f}, {len(shared)} prompts)"
    )


def _words(run: Path, iteration: int) -> dict[str, float]:
    """Words by benchmark prompt, mean over samples."""
    rows = open_dataset(iteration_folder(run, iteration) / "scores", SCORES).rows(["part", "benchmark", "prompt_id", "words"])
    return by_prompt((row for row in rows if row["part"] == "benchmark"), "words")


@click.command()
@click.argument("run", type=FOLDER)
@click.option("--iteration", required=True, type=click.IntRange(1))
def main(run: Path, iteration: int) -> None:
    """Print what iteration N of RUN did."""

    def show() -> None:
        console = Console(highlight=False)
        console.print(table_of(Path(run), iteration))
        console.print(verdict(Path(run), iteration), markup=False, soft_wrap=True)

    with_exit_codes(show)


if __name__ == "__main__":
    main()
