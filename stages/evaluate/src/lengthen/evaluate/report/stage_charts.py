"""Charts of the stages' work: expansions, rejected rows, training, cost. See `score_charts`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lengthen.evaluate.report.chart_types import by_stage, histogram, legend, new_chart, side_by_side
from lengthen.evaluate.report.palette import Palette
from lengthen.evaluate.report.run_data import Iteration
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def before_and_after(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Words of drafts and of their expansions, by iteration: median, quartiles, and range without outliers."""
    made = [found for found in iterations if found.expansions]
    if not made:
        return None
    figure, axes = new_chart()
    for number, found in enumerate(made):
        for side, column in enumerate(("response_words", "expansion_words")):
            box = axes.boxplot(
                [[row[column] for row in found.expansions]],
                positions=[number + 0.36 * side - 0.18],
                widths=0.28,
                patch_artist=True,
                showfliers=False,
                manage_ticks=False,
                boxprops={"facecolor": palette.colour_of(side), "edgecolor": palette.colour_of(side), "alpha": 0.55},
                medianprops={"color": palette.text},
                whiskerprops={"color": palette.colour_of(side)},
                capprops={"color": palette.colour_of(side)},
            )
            box["boxes"][0].set_label(("draft", "expansion")[side] if number == 0 else "_")
    axes.set_xticks(range(len(made)), [found.label for found in made])
    axes.set(ylabel="words")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def growth(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Growth: words of the expansion / words of the draft."""
    return histogram(iterations, palette, "growth", "growth")


def attempts(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Attempts per expansion."""
    made = [found for found in iterations if found.expansions]
    if not made:
        return None
    figure, axes = new_chart()
    for number, found in enumerate(made):
        counts = Counter(row["attempts"] for row in found.expansions)
        values = range(1, max(counts) + 1)
        heights = [counts[value] / len(found.expansions) for value in values]
        positions, width = side_by_side(values, number, len(made)), 0.8 / len(made)
        axes.bar(positions, heights, width, color=palette.colour_of(found.number), label=found.label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="attempts", ylabel="share of expansions")
    legend(axes)
    return figure


def rejected(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Rejected rows by reason, in all stages."""
    by_iteration = [(found, Counter[str]()) for found in iterations]
    for found, counts in by_iteration:
        for manifest in found.manifests.values():
            counts.update(manifest.rejected)
    reasons = [reason for reason, _ in sum((counts for _, counts in by_iteration), Counter()).most_common(12)][::-1]
    if not reasons:
        return None
    figure, axes = new_chart()
    before = [0] * len(reasons)
    for found, counts in by_iteration:
        heights = [counts[reason] for reason in reasons]
        if any(heights):
            axes.barh(
                [reason.replace("_", " ") for reason in reasons],
                heights,
                left=before,
                color=palette.colour_of(found.number),
                label=found.label,
            )
            before = [low + height for low, height in zip(before, heights, strict=True)]
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="rows")
    legend(axes)
    return figure


def losses(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Training loss by step; points are the validation loss. The extender's lines are dashed."""
    figure, axes = new_chart()
    for found in iterations:
        for role, log in found.losses.items():
            style: dict[str, Any] = {
                "color": palette.colour_of(found.number),
                "linestyle": "--" if role == "extender" else "-",
                "linewidth": 1.3,
            }
            trained = [(row["step"], row["loss"]) for row in log if row["loss"] is not None]
            validation = [(row["step"], row["eval_loss"]) for row in log if row["eval_loss"] is not None]
            if trained:
                axes.plot(*zip(*trained, strict=True), label=f"{role}, {found.label}", **style)
            if validation:
                axes.plot(*zip(*validation, strict=True), marker="o", markersize=3, **(style | {"linestyle": "none"}))
    if not axes.lines:
        return None
    axes.set(xlabel="step", ylabel="loss, nats per token")
    legend(axes)
    return figure


def tokens(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Tokens by stage."""
    return by_stage(iterations, palette, lambda manifest: manifest.tokens, "tokens")


def seconds(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Seconds by stage."""
    return by_stage(iterations, palette, lambda manifest: manifest.seconds, "seconds")
