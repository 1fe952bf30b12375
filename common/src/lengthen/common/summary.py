"""What an iteration or a release did: a table of its stages, and how its model writes against those before it.

python -m lengthen.common.summary runs/laptop --iteration 1 [--release runs/laptop/release-01]
"""

from __future__ import annotations

from pathlib import Path

import click
from lengthen.common.bootstrap import Estimate, estimate
from lengthen.common.cli import FOLDER, with_exit_codes
from lengthen.common.errors import UserError
from lengthen.common.score_figures import by_prompt
from lengthen.common.store.manifest import Manifest, read_manifest
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables import SCORES
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

STAGES = ("instructions", "responses", "expansions", "generator", "extender", "scores")
RELEASE_STAGES = ("instructions", "responses", "dataset", "writer", "scores")


def iteration_folder(run: Path, iteration: int) -> Path:
    return run / f"iter-{iteration:02d}"


def table_of(parent: Path, stages: tuple[str, ...], title: str, target: str) -> Table:
    """One line a stage, from the manifests: rows in, out, rejected by reason; mean words, tokens, tokens/s, seconds.

    Raises:
        UserError: a stage isn't complete; names the make target that completes it.
    """
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, title_justify="left")
    for name in ("stage", "in", "out", "rejected", "words", "tokens", "tok/s", "s"):
        table.add_column(name, justify="left" if name in ("stage", "rejected") else "right", no_wrap=True)
    for stage in stages:
        folder = parent / stage
        manifest = read_manifest(folder)
        if manifest is None:
            raise UserError(f"{folder} is not complete; run `make {target}`")
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
    base, tuned = (iteration_folder(run, number) / "scores" for number in (0, iteration))
    before, after, difference = _compared(base, tuned, "words")
    return (
        f"iteration {iteration}: the generator writes {after:,.0f} words a prompt, the base model {before:,.0f}: "
        f"{difference.mean:+,.0f} (95 % interval {difference.low:+,.0f} to {difference.high:+,.0f}, {difference.values} prompts)"
    )


def writer_verdicts(run: Path, iteration: int, release: Path) -> list[str]:
    """The writer against the base model and against its last generator: length score and words, a sentence each."""
    sentences = []
    for name, number in (("base model", 0), (f"generator {iteration}", iteration)):
        others = iteration_folder(run, number) / "scores"
        for measure, label, form in (("length_score", "length score", ".3f"), ("words", "words a prompt", ",.0f")):
            before, after, gain = _compared(others, release / "scores", measure)
            sentences.append(
                f"writer: {label} {after:{form}}, the {name} {before:{form}}: {gain.mean:+{form}} "
                f"(95 % interval {gain.low:+{form}} to {gain.high:+{form}}, {gain.values} prompts)"
            )
    return sentences


def _compared(first: Path, second: Path, measure: str) -> tuple[float, float, Estimate]:
    """Both means over the prompts that two models share, and the mean difference.

    Raises:
        UserError: they share none.
    """
    before, after = _by_prompt(first, measure), _by_prompt(second, measure)
    shared = sorted(before.keys() & after.keys())
    difference = estimate([after[prompt] - before[prompt] for prompt in shared])
    if difference is None:
        raise UserError(f"{first} and {second} are of different benchmarks; evaluate one of them again")
    return sum(before[prompt] for prompt in shared) / len(shared), sum(after[prompt] for prompt in shared) / len(shared), difference


def _by_prompt(folder: Path, measure: str) -> dict[str, float]:
    """A measure by benchmark prompt, mean over samples."""
    rows = open_dataset(folder, SCORES).rows(["part", "benchmark", "prompt_id", measure])
    return by_prompt((row for row in rows if row["part"] == "benchmark"), measure)


@click.command()
@click.argument("run", type=FOLDER)
@click.option("--iteration", required=True, type=click.IntRange(1))
@click.option("--release", type=FOLDER, help="Show this release after the iteration instead.")
def main(run: Path, iteration: int, release: Path | None) -> None:
    """Print what iteration N of RUN did, or the release after it."""

    def show() -> None:
        console = Console(highlight=False)
        if release:
            console.print(table_of(release, RELEASE_STAGES, str(release), f"release N={iteration}"))
            sentences = writer_verdicts(run, iteration, release)
        else:
            folder = iteration_folder(run, iteration)
            console.print(table_of(folder, STAGES, f"{run}, iteration {iteration}", f"iteration N={iteration}"))
            sentences = [verdict(run, iteration)]
        for sentence in sentences:
            console.print(sentence, markup=False, soft_wrap=True)

    with_exit_codes(show)


if __name__ == "__main__":
    main()
