"""What several charts are made of: means with intervals, groups side by side, histograms, lines over tenths, bars by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lengthen.evaluate.report.gather import Iteration
from lengthen.evaluate.report.ink import Ink
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_SIZE = (4.7, 3.1)  # inches: as wide as a phone, so that its letters stay letters there


def empty() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE)
    return figure, figure.add_subplot()


def legend(axes: Axes) -> None:
    """Below the axes, so that it hides nothing."""
    if labels := axes.get_legend_handles_labels()[1]:
        axes.figure.legend(loc="outside lower center", ncols=2 if max(map(len, labels)) > 14 else 4)


def dodged(places: Sequence[float] | range, number: int, count: int) -> list[float]:
    """Places side by side for the number-th of `count` series."""
    return [place + (number - (count - 1) / 2) * 0.8 / count for place in places]


def whiskers(axes: Axes, places: Sequence[float], figures: list[dict[str, Any]], found: Iteration, ink: Ink, line: str = "") -> None:
    """Means with their intervals."""
    means = [figure["mean"] for figure in figures]
    below = [figure["mean"] - figure["low"] for figure in figures]
    above = [figure["high"] - figure["mean"] for figure in figures]
    colour = ink.of(found.number)
    axes.errorbar(
        places, means, [below, above], fmt=f"o{line}", color=colour, markersize=4.5, capsize=2.5, linewidth=1.3, label=found.label
    )


def means(iterations: list[Iteration], ink: Ink, name: str, label: str) -> Figure | None:
    models = [found for found in iterations if name in found.figures.get("overall", {})]
    if not models:
        return None
    figure, axes = empty()
    for place, found in enumerate(models):
        whiskers(axes, [place], [found.figures["overall"][name]], found, ink)
    axes.set_xticks(range(len(models)), [found.label for found in models])
    axes.set(ylabel=label, xlim=(-0.6, len(models) - 0.4))
    axes.set_ylim(bottom=0)
    return figure


def by_group(
    iterations: list[Iteration], ink: Ink, by: str, groups: Sequence[str], name: str, label: str, top: float | None = None
) -> Figure | None:
    models = [found for found in iterations if any(name in found.figures.get(by, {}).get(group, {}) for group in groups)]
    if not models:
        return None
    figure, axes = empty()
    for place, found in enumerate(models):
        there = [number for number, group in enumerate(groups) if name in found.figures[by].get(group, {})]
        whiskers(axes, dodged(there, place, len(models)), [found.figures[by][groups[number]][name] for number in there], found, ink)
    axes.set_xticks(range(len(groups)), groups)
    axes.set(ylabel=label)
    axes.set_ylim(bottom=0, top=top)
    legend(axes)
    return figure


def histogram(iterations: list[Iteration], ink: Ink, column: str, label: str) -> Figure | None:
    made = [found for found in iterations if found.expansions]
    if not made:
        return None
    figure, axes = empty()
    largest = max(row[column] for found in made for row in found.expansions)
    edges = [1 + (max(largest, 2) - 1) * number / 24 for number in range(25)]
    for found in made:
        values = [row[column] for row in found.expansions]
        weights = [1 / len(values)] * len(values)
        axes.hist(values, edges, weights=weights, histtype="stepfilled", alpha=0.45, color=ink.of(found.number), label=found.label)
    axes.set(xlabel=label, ylabel="share of expansions")
    legend(axes)
    return figure


def by_tenth(iterations: list[Iteration], ink: Ink, name: str, label: str) -> Figure | None:
    models = [(found, found.figures["decay"][name]) for found in iterations if found.figures.get("decay", {}).get(name)]
    if not models:
        return None
    figure, axes = empty()
    for found, values in models:
        axes.plot(range(1, 11), values, marker="o", markersize=3.5, color=ink.of(found.number), linewidth=1.3, label=found.label)
    axes.set_xticks(range(1, 11))
    axes.set(xlabel="tenth of the answer", ylabel=label)
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def by_stage(iterations: list[Iteration], ink: Ink, value: Callable[[Any], float], label: str) -> Figure | None:
    stages = list(dict.fromkeys(stage for found in iterations for stage in found.manifests))
    if not stages:
        return None
    figure, axes = empty()
    for place, found in enumerate(iterations):
        heights = [value(found.manifests[stage]) if stage in found.manifests else 0 for stage in stages]
        axes.bar(
            dodged(range(len(stages)), place, len(iterations)),
            heights,
            0.8 / len(iterations),
            color=ink.of(found.number),
            label=found.label,
        )
    axes.set_xticks(range(len(stages)), stages, rotation=30, ha="right")
    axes.set(ylabel=label)
    legend(axes)
    return figure
