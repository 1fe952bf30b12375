"""The report: one HTML file with charts, tables and sample pairs; beside it the charts as PNG and their figures as a table."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.process.errors import UserError
from lengthen.evaluate.figures import MEASURES
from lengthen.evaluate.report import score_charts, stage_charts
from lengthen.evaluate.report.palette import PNG, SERIES, SERIES_DARK, SVG, Palette, drawing, svg_of
from lengthen.evaluate.report.run_data import WRITER, Iteration, read_run, sample_pairs
from lengthen.evaluate.summary import RELEASE_STAGES, STAGES, generator_comparison, writer_comparisons
from matplotlib.figure import Figure

_LABELS = {"words": "words (LonGen's count)", "words_latin_runs": "words (LongBench-Write's count)", "s_l": "S_l, of 100",
           "length_score": "length score, of 1", "cut": "share cut by the token limit", "quality": "quality, mean grade"}  # fmt: skip
_MAX_TEXT = 20_000  # characters of a sample: five pages
Draw = Callable[[list[Iteration], Palette], Figure | None]
SECTIONS: dict[str, tuple[Draw, ...]] = {
    "Length": (score_charts.words_by_model, score_charts.ruler, stage_charts.before_and_after),
    "Length control": (score_charts.asked_and_written, score_charts.length_by_kind),
    "Quality": (score_charts.quality_by_dimension, score_charts.decay, score_charts.quality_decay, score_charts.forgetting),
    "Training data": (stage_charts.growth, stage_charts.attempts, stage_charts.rejected),
    "Training": (stage_charts.losses,),
    "Cost": (stage_charts.tokens, stage_charts.seconds),
}
SUMMARY = pa.schema(
    [("model", pa.string()), ("iteration", pa.int64()), ("part", pa.string()), ("group", pa.string()), ("measure", pa.string())]
    + [(name, pa.float64()) for name in ("mean", "low", "high")]
    + [("values", pa.int64())]
)


def write_report(run: Path, output: Path, seed: int) -> int:
    """Write the page to `output`, and PNGs and `summary.parquet` to the folder of the same name. Returns the page's size in bytes.

    Raises:
        UserError: the run has no complete stage.
    """
    iterations = read_run(run)
    charts_folder = output.with_suffix("")
    charts_folder.mkdir(parents=True, exist_ok=True)
    sections = {title: [_chart(draw, iterations, charts_folder) for draw in draws] for title, draws in SECTIONS.items()}
    pq.write_table(pa.Table.from_pylist(summary_rows(iterations), SUMMARY), charts_folder / "summary.parquet")
    label, pairs = sample_pairs(iterations, seed)
    page = (
        _template()
        .render(
            run=run.resolve().name,
            comparisons=_comparisons(run, iterations),
            sections={title: [chart for chart in found if chart] for title, found in sections.items()},
            iterations=iterations,
            stages=tuple(dict.fromkeys(STAGES + RELEASE_STAGES)),
            scores=_score_table(iterations),
            judges=sorted({found.figures["judge"]["name"] for found in iterations if "judge" in found.figures}),
            self_judged=any(found.figures.get("judge", {}).get("name", "").startswith("self:") for found in iterations),
            pairs_of=label,
            pairs=[_cut(pair) for pair in pairs],
            versions=_versions(iterations),
            series=SERIES,
            series_dark=SERIES_DARK,
        )
        .encode()
    )
    temporary = output.with_name(f".{output.name}.tmp")
    temporary.write_bytes(page)
    temporary.replace(output)
    return len(page)


def summary_rows(iterations: list[Iteration]) -> list[dict[str, Any]]:
    """The figures of the charts: one row for each measure of a group of answers, with its interval."""
    found = []
    for iteration in iterations:
        groups = {("overall", ""): iteration.figures.get("overall", {})}
        for part in ("by_kind", "by_range", "by_language", "ruler", "forgetting"):
            groups |= {(part, group): values for group, values in iteration.figures.get(part, {}).items()}
        for (part, group), values in groups.items():
            labels = {"model": iteration.label, "iteration": iteration.number, "part": part, "group": group}
            found += [labels | {"measure": name, **values[name]} for name in MEASURES if name in values]
    return found


def _chart(draw: Draw, iterations: list[Iteration], charts_folder: Path) -> dict[str, str] | None:
    """A chart as SVG for the page, and as a PNG file."""
    name, caption = draw.__name__, (draw.__doc__ or "").strip()
    with drawing(PNG, name):
        figure = draw(iterations, PNG)
        (charts_folder / f"{name}.png").unlink(missing_ok=True)
        if figure is None:
            return None
        _save(figure, charts_folder / f"{name}.png")
    with drawing(SVG, name):
        figure = draw(iterations, SVG)
        return {"caption": caption, "svg": svg_of(figure, name.replace("_", " "))} if figure else None


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=160, metadata={"Software": None})


def _comparisons(run: Path, iterations: list[Iteration]) -> list[str]:
    """Sentences about the last generator, and about the writer if there is one."""
    numbers = {found.number for found in iterations if found.scores and found.name != WRITER}
    try:
        if 0 not in numbers or len(numbers) == 1:
            return ["Not evaluated yet: both base model and generator are needed for a comparison."]
        found = [generator_comparison(run, max(numbers))]
        for release in (other.folder for other in iterations if other.scores and other.name == WRITER):
            found += writer_comparisons(run, int(release.name.rpartition("-")[2]), release)
        return found
    except UserError as error:
        return [str(error)]


def _score_table(iterations: list[Iteration]) -> list[dict[str, Any]]:
    """One line for each measure, with the mean and interval of each model."""
    models = [found for found in iterations if "overall" in found.figures]
    lines = []
    for name in MEASURES:
        cells = [found.figures["overall"].get(name) for found in models]
        if any(cells):
            lines.append(
                {"measure": _LABELS.get(name, name.replace("_", " ")), "cells": [_with_interval(cell) if cell else "–" for cell in cells]}
            )
    return [{"head": [found.label for found in models], "lines": lines}] if lines else []


def _with_interval(found: dict[str, Any]) -> str:
    return f"{_number(found['mean'])} ({_number(found['low'])} to {_number(found['high'])})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cut(pair: dict[str, Any]) -> dict[str, Any]:
    texts = {name: pair[name] for name in ("instruction", "response", "expansion")}
    return pair | {name: text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " […]" for name, text in texts.items()}


def _versions(iterations: list[Iteration]) -> dict[str, Any]:
    """The versions and the seed of the last finished stage."""
    manifests = [manifest for found in iterations for manifest in found.manifests.values()]
    last = max(manifests, key=lambda manifest: str(manifest.timings.get("finished_at", "")))
    return {"finished at": last.timings.get("finished_at", "?"), "seed": last.fingerprint.get("seed", "?"), **last.environment}


def _template() -> jinja2.Template:
    """The template escapes all values except the charts, whose only texts are our own labels and reasons."""
    source = (resources.files("lengthen.evaluate.report") / "templates" / "report.html").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(source)
