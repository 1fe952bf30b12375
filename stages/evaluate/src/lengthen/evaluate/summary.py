"""The summary of an iteration or a release: a table of its stages, and a comparison of its model with the earlier ones.

python -m lengthen.evaluate.summary runs/laptop --iteration 1 [--release runs/laptop/release-01]
"""

from __future__ import annotations

from pathlib import Path

import click
from lengthen.common.process.errors import UserError
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.stage.command import FOLDER
from lengthen.common.store.manifest import Manifest, read_manifest
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables.definitions import SCORES
from lengthen.evaluate.bootstrap import Estimate, estimate
from lengthen.evaluate.figures import by_prompt
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

STAGES = ("instructions", "responses", "expansions", "generator", "extender", "scores")
RELEASE_STAGES = ("instructions", "responses", "dataset", "writer", "scores")


def iteration_folder(run: Path, iteration: int) -> Path:
    return run / f"iter-{iteration:02d}"


def table_of(parent: Path, stages: tuple[str, ...], title: str, target: str) -> Table:
    """One line for each stage, from the manifests: rows in, out, rejected by reason; mean words, tokens, tokens/s, seconds.

    Raises:
        UserError: a stage is not complete; the message names the make target.
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


def generator_comparison(run: Path, iteration: int) -> str:
    """A sentence: mean words of base model and generator on the same prompts, with a 95 % interval of the difference."""
    base, tuned = (iteration_folder(run, number) / "scores" for number in (0, iteration))
    before, after, difference = _compare(base, tuned, "words")
    return (
        f"iteration {iteration}: the generator writes {after:,.0f} words per prompt, the base model {before:,.0f}: "
        f"{difference.mean:+,.0f} (95 % interval {difference.low:+,.0f} to {difference.high:+,.0f}, {difference.values} prompts)"
    )


def writer_comparisons(run: Path, iteration: int, release: Path) -> list[str]:
    """Sentences that compare the writer with the base model and with the last generator: length score and words."""
    sentences = []
    for name, number in (("base model", 0), (f"generator {iteration}", iteration)):
        others = iteration_folder(run, number) / "scores"
        for measure, label, form in (("length_score", "length score", ".3f"), ("words", "words per prompt", ",.0f")):
            before, after, gain = _compare(others, release / "scores", measure)
            sentences.append(
                f"writer: {label} {after:{form}}, the {name} {before:{form}}: {gain.mean:+{form}} "
                f"(95 % interval {gain.low:+{form}} to {gain.high:+{form}}, {gain.values} prompts)"
            )
    return sentences


def _compare(first: Path, second: Path, measure: str) -> tuple[float, float, Estimate]:
    """Both means over the prompts that two models share, and the mean difference.

    Raises:
        UserError: they share no prompts.
    """
    before, after = _by_prompt(first, measure), _by_prompt(second, measure)
    shared = sorted(before.keys() & after.keys())
    difference = estimate([after[prompt] - before[prompt] for prompt in shared])
    if difference is None:
        raise UserError(f"{first} and {second} have no common prompts; evaluate both with the same benchmark and evaluate.lengths")
    return sum(before[prompt] for prompt in shared) / len(shared), sum(after[prompt] for prompt in shared) / len(shared), difference


def _by_prompt(folder: Path, measure: str) -> dict[str, float]:
    """A measure by benchmark prompt, the mean over its samples."""
    rows = open_dataset(folder, SCORES).rows(["part", "benchmark", "prompt_id", measure])
    return by_prompt((row for row in rows if row["part"] == "benchmark"), measure)


@click.command()
@click.argument("run", type=FOLDER)
@click.option("--iteration", required=True, type=click.IntRange(1))
@click.option("--release", type=FOLDER, help="Show this release, made after the iteration, instead.")
def main(run: Path, iteration: int, release: Path | None) -> None:
    """Print the summary of iteration N of RUN, or of the release after it."""

    def show() -> None:
        console = Console(highlight=False)
        if release:
            console.print(table_of(release, RELEASE_STAGES, str(release), f"release N={iteration}"))
            sentences = writer_comparisons(run, iteration, release)
        else:
            folder = iteration_folder(run, iteration)
            console.print(table_of(folder, STAGES, f"{run}, iteration {iteration}", f"iteration N={iteration}"))
            sentences = [generator_comparison(run, iteration)]
        for sentence in sentences:
            console.print(sentence, markup=False, soft_wrap=True)

    with_exit_codes(show)


if __name__ == "__main__":
    main()
