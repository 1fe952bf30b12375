"""The types of charts: means with intervals, groups side by side, histograms, lines over tenths, bars by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lengthen.evaluate.report.palette import Palette
from lengthen.evaluate.report.run_data import Iteration
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_SIZE = (4.7, 3.1)  # inches: about the width of a phone, so that text stays readable there


def new_chart() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE)
    return figure, figure.add_subplot()


def legend(axes: Axes) -> None:
    """Add a legend below the axes, where it covers no data."""
    if labels := axes.get_legend_handles_labels()[1]:
        axes.figure.legend(loc="outside lower center", ncols=2 if max(map(len, labels)) > 14 else 4)


def side_by_side(positions: Sequence[float] | range, number: int, count: int) -> list[float]:
    """The positions of the number-th of `count` series, next to each other."""
    return [position + (number - (count - 1) / 2) * 0.8 / count for position in positions]


def error_bars(
    axes: Axes, positions: Sequence[float], figures: list[dict[str, Any]], found: Iteration, palette: Palette, line: str = ""
) -> None:
    """Draw means with their intervals."""
    means = [figure["mean"] for figure in figures]
    below = [figure["mean"] - figure["low"] for figure in figures]
    above = [figure["high"] - figure["mean"] for figure in figures]
    colour = palette.colour_of(found.number)
    axes.errorbar(
        positions, means, [below, above], fmt=f"o{line}", color=colour, markersize=4.5, capsize=2.5, linewidth=1.3, label=found.label
    )


def means(iterations: list[Iteration], palette: Palette, name: str, label: str) -> Figure | None:
    """A measure by model."""
    models = [found for found in iterations if name in found.figures.get("overall", {})]
    if not models:
        return None
    figure, axes = new_chart()
    for number, found in enumerate(models):
        error_bars(axes, [number], [found.figures["overall"][name]], found, palette)
    axes.set_xticks(range(len(models)), [found.label for found in models])
    axes.set(ylabel=label, xlim=(-0.6, len(models) - 0.4))
    axes.set_ylim(bottom=0)
    return figure


def by_group(
    iterations: list[Iteration], palette: Palette, by: str, groups: Sequence[str], name: str, label: str, top: float | None = None
) -> Figure | None:
    """A measure by model and group, such as the kind of demand."""
    models = [found for found in iterations if any(name in found.figures.get(by, {}).get(group, {}) for group in groups)]
    if not models:
        return None
    figure, axes = new_chart()
    for number, found in enumerate(models):
        present = [at for at, group in enumerate(groups) if name in found.figures[by].get(group, {})]
        figures = [found.figures[by][groups[at]][name] for at in present]
        error_bars(axes, side_by_side(present, number, len(models)), figures, found, palette)
    axes.set_xticks(range(len(groups)), groups)
    axes.set(ylabel=label)
    axes.set_ylim(bottom=0, top=top)
    legend(axes)
    return figure


def histogram(iterations: list[Iteration], palette: Palette, column: str, label: str) -> Figure | None:
    """A histogram of a column of the expansions; the bins start at 1."""
    made = [found for found in iterations if found.expansions]
    if not made:
        return None
    figure, axes = new_chart()
    largest = max(row[column] for found in made for row in found.expansions)
    edges = [1 + (max(largest, 2) - 1) * number / 24 for number in range(25)]
    for found in made:
        values = [row[column] for row in found.expansions]
        weights = [1 / len(values)] * len(values)
        axes.hist(
            values, edges, weights=weights, histtype="stepfilled", alpha=0.45, color=palette.colour_of(found.number), label=found.label
        )
    axes.set(xlabel=label, ylabel="share of expansions")
    legend(axes)
    return figure


def by_tenth(iterations: list[Iteration], palette: Palette, name: str, label: str) -> Figure | None:
    """A measure over the tenths of the answers."""
    models = [(found, found.figures["decay"][name]) for found in iterations if found.figures.get("decay", {}).get(name)]
    if not models:
        return None
    figure, axes = new_chart()
    for found, values in models:
        axes.plot(range(1, 11), values, marker="o", markersize=3.5, color=palette.colour_of(found.number), linewidth=1.3, label=found.label)
    axes.set_xticks(range(1, 11))
    axes.set(xlabel="tenth of the answer", ylabel=label)
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def by_stage(iterations: list[Iteration], palette: Palette, value: Callable[[Any], float], label: str) -> Figure | None:
    """A value of each manifest, by stage and iteration."""
    stages = list(dict.fromkeys(stage for found in iterations for stage in found.manifests))
    if not stages:
        return None
    figure, axes = new_chart()
    for number, found in enumerate(iterations):
        heights = [value(found.manifests[stage]) if stage in found.manifests else 0 for stage in stages]
        axes.bar(
            side_by_side(range(len(stages)), number, len(iterations)),
            heights,
            0.8 / len(iterations),
            color=palette.colour_of(found.number),
            label=found.label,
        )
    axes.set_xticks(range(len(stages)), stages, rotation=30, ha="right")
    axes.set(ylabel=label)
    legend(axes)
    return figure
