"""The charts: functions from a run's iterations to a figure, or to None where there is nothing to draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from lengthen.common.demand import KINDS
from lengthen.evaluate.report.gather import Iteration
from lengthen.evaluate.report.ink import Ink
from lengthen.evaluate.report.shapes import by_group, by_stage, by_tenth, dodged, empty, histogram, legend, means, whiskers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_POINTS = 300  # of a model in the scatter: ids are hashes, so the first ones are a sample
Draw = Callable[[list[Iteration], Ink], Figure | None]


def words_by_model(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Mean words an answer by model, with 95 % intervals."""
    return means(iterations, ink, "words", "words an answer")


def length_by_kind(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """LonGen's length score by kind of demand, with 95 % intervals."""
    groups = [kind for kind in KINDS if any(kind in found.figures.get("by_kind", {}) for found in iterations)]
    return by_group(iterations, ink, "by_kind", groups, "length_score", "length score", top=1.0)


def quality_by_dimension(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """The judge's grades by dimension, with 95 % intervals."""
    from lengthen.common.tables import QUALITIES

    models = [found for found in iterations if "quality" in found.figures.get("overall", {})]
    if not models:
        return None
    figure, axes = empty()
    for place, found in enumerate(models):
        overall = found.figures["overall"]
        whiskers(axes, dodged(range(len(QUALITIES)), place, len(models)), [overall[f"quality_{name}"] for name in QUALITIES], found, ink)
    axes.set_xticks(range(len(QUALITIES)), QUALITIES, rotation=35, ha="right")
    axes.set(ylabel="grade, 1 to 10")
    legend(axes)
    return figure


def asked_and_written(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Words asked for against words written, an answer a dot; on the line they are equal."""
    figure, axes = empty()
    longest = 0
    for found in iterations:
        rows = [row for row in found.scores if row["part"] == "benchmark" and row["asked"]][:_POINTS]
        if rows:
            asked, written = [row["asked"] for row in rows], [row["words"] for row in rows]
            axes.scatter(asked, written, s=16, color=ink.of(found.number), alpha=0.55, linewidths=0, label=found.label)
            longest = max(longest, *asked)
    return _against_asked(figure, axes, longest, ink)


def ruler(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Maximum length ruler: words written where ever more are asked for, with 95 % intervals."""
    figure, axes = empty()
    longest = 0
    for found in iterations:
        if marks := {int(asked): figures["words"] for asked, figures in found.figures.get("ruler", {}).items()}:
            whiskers(axes, sorted(marks), [marks[asked] for asked in sorted(marks)], found, ink, line="-")
            longest = max(longest, *marks)
    return _against_asked(figure, axes, longest, ink)


def _against_asked(figure: Figure, axes: Axes, longest: int, ink: Ink) -> Figure | None:
    """A chart of words written against words asked for, with the line on which they are equal."""
    if not longest:
        return None
    axes.axline((0, 0), slope=1, color=ink.text, linewidth=0.8, linestyle="--")
    axes.set(xlabel="words asked for", ylabel="words written", xlim=(0, longest * 1.05))
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def before_and_after(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Words of drafts and of their expansions, by iteration: median, quartiles, and all but the outermost."""
    made = [found for found in iterations if found.expansions]
    if not made:
        return None
    figure, axes = empty()
    for place, found in enumerate(made):
        for side, column in enumerate(("response_words", "expansion_words")):
            box = axes.boxplot(
                [[row[column] for row in found.expansions]],
                positions=[place + 0.36 * side - 0.18],
                widths=0.28,
                patch_artist=True,
                showfliers=False,
                manage_ticks=False,
                boxprops={"facecolor": ink.of(side), "edgecolor": ink.of(side), "alpha": 0.55},
                medianprops={"color": ink.text},
                whiskerprops={"color": ink.of(side)},
                capprops={"color": ink.of(side)},
            )
            box["boxes"][0].set_label(("draft", "expansion")[side] if place == 0 else "_")
    axes.set_xticks(range(len(made)), [found.label for found in made])
    axes.set(ylabel="words")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def growth(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Words after expansion for each word before."""
    return histogram(iterations, ink, "growth", "times longer")


def attempts(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Attempts that an expansion took."""
    made = [found for found in iterations if found.expansions]
    if not made:
        return None
    figure, axes = empty()
    for place, found in enumerate(made):
        counts = Counter(row["attempts"] for row in found.expansions)
        numbers = range(1, max(counts) + 1)
        heights = [counts[number] / len(found.expansions) for number in numbers]
        axes.bar(dodged(numbers, place, len(made)), heights, 0.8 / len(made), color=ink.of(found.number), label=found.label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="attempts", ylabel="share of expansions")
    legend(axes)
    return figure


def rejected(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Rejected rows by reason, all stages together."""
    by_iteration = [(found, Counter[str]()) for found in iterations]
    for found, counts in by_iteration:
        for manifest in found.manifests.values():
            counts.update(manifest.rejected)
    reasons = [reason for reason, _ in sum((counts for _, counts in by_iteration), Counter()).most_common(12)][::-1]
    if not reasons:
        return None
    figure, axes = empty()
    before = [0] * len(reasons)
    for found, counts in by_iteration:
        heights = [counts[reason] for reason in reasons]
        if any(heights):
            axes.barh([reason.replace("_", " ") for reason in reasons], heights, left=before, color=ink.of(found.number), label=found.label)
            before = [low + height for low, height in zip(before, heights, strict=True)]
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="rows")
    legend(axes)
    return figure


def losses(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Training loss by step; dots are the loss on rows held out. The extender's lines are dashed."""
    figure, axes = empty()
    for found in iterations:
        for role, log in found.losses.items():
            style: dict[str, Any] = {"color": ink.of(found.number), "linestyle": "--" if role == "extender" else "-", "linewidth": 1.3}
            trained = [(row["step"], row["loss"]) for row in log if row["loss"] is not None]
            held_out = [(row["step"], row["eval_loss"]) for row in log if row["eval_loss"] is not None]
            if trained:
                axes.plot(*zip(*trained, strict=True), label=f"{role}, {found.label}", **style)
            if held_out:
                axes.plot(*zip(*held_out, strict=True), marker="o", markersize=3, **(style | {"linestyle": "none"}))
    if not axes.lines:
        return None
    axes.set(xlabel="step", ylabel="loss, nats a token")
    legend(axes)
    return figure


def decay(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Repetition by tenth of the answers: share of words in n-grams that stood before."""
    return by_tenth(iterations, ink, "repetition", "repeated share")


def quality_decay(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """The judge's mean grade by tenth of the answers."""
    return by_tenth(iterations, ink, "quality", "grade, 1 to 10")


def guard(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Perplexity on short answers that were never trained on: it rises when a model forgets."""
    models = [(found, found.figures["guard"]["all"]["perplexity"]) for found in iterations if "guard" in found.figures]
    if not models:
        return None
    figure, axes = empty()
    axes.bar([found.label for found, _ in models], [value for _, value in models], 0.6, color=[ink.of(found.number) for found, _ in models])
    axes.set(ylabel="perplexity")
    return figure


def tokens(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Tokens by stage."""
    return by_stage(iterations, ink, lambda manifest: manifest.tokens, "tokens")


def seconds(iterations: list[Iteration], ink: Ink) -> Figure | None:
    """Seconds by stage."""
    return by_stage(iterations, ink, lambda manifest: manifest.seconds, "seconds")
