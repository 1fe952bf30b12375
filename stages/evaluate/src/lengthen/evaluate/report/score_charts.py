"""Charts of scores: functions from a run's iterations to a figure, or to None without data.

The name of a function is the name of its PNG file, its docstring the caption.
"""

from __future__ import annotations

from lengthen.common.method.demand import KINDS
from lengthen.common.tables.definitions import QUALITIES
from lengthen.evaluate.report.chart_types import by_group, by_tenth, error_bars, legend, means, new_chart, side_by_side
from lengthen.evaluate.report.palette import Palette
from lengthen.evaluate.report.run_data import Iteration
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_POINTS = 300  # of a model in the scatter plot: ids are hashes, so the first rows are a random sample


def words_by_model(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Mean words per answer by model, with 95 % intervals."""
    return means(iterations, palette, "words", "words per answer")


def length_by_kind(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """LonGen's length score by kind of demand, with 95 % intervals."""
    groups = [kind for kind in KINDS if any(kind in found.figures.get("by_kind", {}) for found in iterations)]
    return by_group(iterations, palette, "by_kind", groups, "length_score", "length score", top=1.0)


def quality_by_dimension(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """The judge's grades by dimension, with 95 % intervals."""
    models = [found for found in iterations if "quality" in found.figures.get("overall", {})]
    if not models:
        return None
    figure, axes = new_chart()
    for number, found in enumerate(models):
        grades = [found.figures["overall"][f"quality_{name}"] for name in QUALITIES]
        error_bars(axes, side_by_side(range(len(QUALITIES)), number, len(models)), grades, found, palette)
    axes.set_xticks(range(len(QUALITIES)), QUALITIES, rotation=35, ha="right")
    axes.set(ylabel="grade, 1 to 10")
    legend(axes)
    return figure


def asked_and_written(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Required words against written words, one point per answer; on the line they are equal."""
    figure, axes = new_chart()
    longest = 0
    for found in iterations:
        rows = [row for row in found.scores if row["part"] == "benchmark" and row["asked"]][:_POINTS]
        if rows:
            required, written = [row["asked"] for row in rows], [row["words"] for row in rows]
            axes.scatter(required, written, s=16, color=palette.colour_of(found.number), alpha=0.55, linewidths=0, label=found.label)
            longest = max(longest, *required)
    return _with_diagonal(figure, axes, longest, palette)


def ruler(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Ruler: written words for increasing required words, with 95 % intervals."""
    figure, axes = new_chart()
    longest = 0
    for found in iterations:
        if marks := {int(length): figures["words"] for length, figures in found.figures.get("ruler", {}).items()}:
            error_bars(axes, sorted(marks), [marks[length] for length in sorted(marks)], found, palette, line="-")
            longest = max(longest, *marks)
    return _with_diagonal(figure, axes, longest, palette)


def _with_diagonal(figure: Figure, axes: Axes, longest: int, palette: Palette) -> Figure | None:
    """Finish a chart of written against required words, with the line on which they are equal."""
    if not longest:
        return None
    axes.axline((0, 0), slope=1, color=palette.text, linewidth=0.8, linestyle="--")
    axes.set(xlabel="required words", ylabel="written words", xlim=(0, longest * 1.05))
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def decay(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Repetition by tenth of the answers: share of words in n-grams that occurred before."""
    return by_tenth(iterations, palette, "repetition", "repeated share")


def quality_decay(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """The judge's mean grade by tenth of the answers."""
    return by_tenth(iterations, palette, "quality", "grade, 1 to 10")


def forgetting(iterations: list[Iteration], palette: Palette) -> Figure | None:
    """Perplexity on short answers that no stage trains on: higher values show forgetting."""
    models = [(found, found.figures["forgetting"]["all"]["perplexity"]) for found in iterations if "forgetting" in found.figures]
    if not models:
        return None
    figure, axes = new_chart()
    axes.bar(
        [found.label for found, _ in models],
        [value for _, value in models],
        0.6,
        color=[palette.colour_of(found.number) for found, _ in models],
    )
    axes.set(ylabel="perplexity")
    return figure
