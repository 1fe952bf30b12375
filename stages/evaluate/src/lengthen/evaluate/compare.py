"""Compare two models on the same prompts and seeds: differences with confidence intervals.

python -m lengthen.evaluate.compare runs/laptop/iter-00 runs/laptop/iter-02
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.stage.command import FOLDER

if TYPE_CHECKING:
    from lengthen.common.store.reader import Dataset
    from lengthen.evaluate.bootstrap import Estimate
    from rich.table import Table


@dataclass(frozen=True)
class Difference:
    """A measure of two models: both means over the shared prompts, and the second minus the first with its interval."""

    measure: str
    first: float
    second: float
    difference: Estimate

    @property
    def is_significant(self) -> bool:
        """Whether the 95 % confidence interval excludes 0."""
        return self.difference.low > 0 or self.difference.high < 0


def compare_rows(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[Difference]:
    """Every measure that both models have, over answers to the same prompts with the same seeds.

    Grades are compared only if the same judge gave them.

    Raises:
        UserError: there are no pairs.
    """
    from lengthen.common.process.errors import UserError
    from lengthen.evaluate.bootstrap import estimate
    from lengthen.evaluate.figures import MEASURES, by_prompt

    pairs = _pairs(first, second)
    if not pairs:
        raise UserError(
            "no prompt has answers with the same seed in both; evaluate both with the same benchmark, evaluate.lengths and --seed"
        )
    found = []
    for name in MEASURES:
        usable = [pair for pair in pairs if not name.startswith("quality") or pair[0]["judge"] == pair[1]["judge"]]
        usable = [pair for pair in usable if pair[0]["part"] == ("forgetting" if name == "loss" else "benchmark")]
        before, after = (by_prompt((pair[side] for pair in usable), name) for side in (0, 1))
        shared = sorted(before.keys() & after.keys())
        if difference := estimate([after[prompt] - before[prompt] for prompt in shared]):
            means = [sum(values[prompt] for prompt in shared) / len(shared) for values in (before, after)]
            found.append(Difference(name, means[0], means[1], difference))
    return found


def _pairs(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    others = {(row["id"], row["seed"]): row for row in second}
    return [(row, others[row["id"], row["seed"]]) for row in first if (row["id"], row["seed"]) in others and row["part"] != "data"]


def open_scores(folder: Path) -> Dataset:
    """The scores in a folder of scores, in an iteration, or in the last evaluated iteration of a run.

    Raises:
        UserError: there are no complete scores.
    """
    from lengthen.common.process.errors import UserError
    from lengthen.common.store.manifest import read_manifest
    from lengthen.common.store.reader import open_dataset
    from lengthen.common.tables.definitions import SCORES

    candidates = [folder, folder / "scores", *sorted(folder.glob("iter-*/scores"), reverse=True)]
    found = next((candidate for candidate in candidates if read_manifest(candidate)), None)
    if found is None:
        raise UserError(f"{folder} has no complete scores; run `make evaluate` first")
    return open_dataset(found, SCORES)


def table_of(first: Dataset, second: Dataset) -> Table:
    """One line for each measure."""
    from lengthen.evaluate.figures import FIGURE_COLUMNS
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("measure", "first", "second", "change", "95 % interval", "pairs"):
        table.add_column(name, justify="left" if name == "measure" else "right", no_wrap=True)
    for line in compare_rows(*(list(dataset.rows([*FIGURE_COLUMNS, "seed"])) for dataset in (first, second))):
        low, high = _number(line.difference.low, "+"), _number(line.difference.high, "+")
        style = "bold" if line.is_significant else None
        figures = (_number(line.first), _number(line.second), _number(line.difference.mean, "+"), f"{low} to {high}")
        table.add_row(line.measure.replace("_", " "), *figures, str(line.difference.values), style=style)
    return table


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign},.0f}" if abs(value) >= 100 else f"{value:{sign}.3g}"


@click.command(context_settings={"max_content_width": 110})
@click.argument("first", type=FOLDER)
@click.argument("second", type=FOLDER)
def main(first: Path, second: Path) -> None:
    """Compare two evaluations in pairs: SECOND minus FIRST, with 95 % bootstrap intervals.

    Each is a folder of scores, an iteration (runs/laptop/iter-02), or a run (its last evaluated iteration). Differences
    whose interval excludes 0 are bold.
    """

    def show() -> None:
        from rich.console import Console

        console, datasets = Console(highlight=False), (open_scores(first), open_scores(second))
        for name, dataset in zip(("first", "second"), datasets, strict=True):
            console.print(f"{name}: {dataset.folder}", markup=False, soft_wrap=True)
        console.print(table_of(*datasets))

    with_exit_codes(show)


if __name__ == "__main__":
    main()
