"""The page: charts, tables and sample pairs put into one HTML file; the charts as PNG and their figures as a table beside it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq
from lengthen.common.errors import UserError
from lengthen.common.score_figures import MEASURES
from lengthen.common.summary import RELEASE_STAGES, STAGES, verdict, writer_verdicts
from lengthen.evaluate.report import charts
from lengthen.evaluate.report.gather import WRITER, Iteration, gather, sample_pairs
from lengthen.evaluate.report.ink import PNG, SERIES, SERIES_DARK, SVG, drawing, svg_of
from matplotlib.figure import Figure

_LABELS = {"words": "words (LonGen's count)", "words_latin_runs": "words (LongBench-Write's count)", "s_l": "S_l, of 100",
           "length_score": "length score, of 1", "cut": "share cut by the length limit", "quality": "quality, mean grade"}  # fmt: skip
_TEXT = 20_000  # characters of a sample: five pages
SECTIONS: dict[str, tuple[charts.Draw, ...]] = {
    "Does it write longer?": (charts.words_by_model, charts.ruler, charts.before_and_after),
    "Does it write as long as asked?": (charts.asked_and_written, charts.length_by_kind),
    "Is it still good?": (charts.quality_by_dimension, charts.decay, charts.quality_decay, charts.guard),
    "The data": (charts.growth, charts.attempts, charts.rejected),
    "Training": (charts.losses,),
    "Cost": (charts.tokens, charts.seconds),
}
SUMMARY = pa.schema(
    [("model", pa.string()), ("iteration", pa.int64()), ("part", pa.string()), ("group", pa.string()), ("measure", pa.string())]
    + [(name, pa.float64()) for name in ("mean", "low", "high")]
    + [("values", pa.int64())]
)


def write_report(run: Path, output: Path, seed: int) -> int:
    """Write the page to `output`, PNGs and `summary.parquet` into the folder of the same name. Returns the page's bytes.

    Raises:
        UserError: there is nothing to report.
    """
    iterations = gather(run)
    beside = output.with_suffix("")
    beside.mkdir(parents=True, exist_ok=True)
    sections = {title: [_chart(draw, iterations, beside) for draw in draws] for title, draws in SECTIONS.items()}
    pq.write_table(pa.Table.from_pylist(summary_rows(iterations), SUMMARY), beside / "summary.parquet")
    label, pairs = sample_pairs(iterations, seed)
    page = (
        _template()
        .render(
            run=run.resolve().name,
            verdicts=_verdicts(run, iterations),
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
    """The figures behind the charts, one a row: a measure of a group of answers, with its interval."""
    found = []
    for iteration in iterations:
        groups = {("overall", ""): iteration.figures.get("overall", {})}
        for part in ("by_kind", "by_range", "by_language", "ruler", "guard"):
            groups |= {(part, group): values for group, values in iteration.figures.get(part, {}).items()}
        for (part, group), values in groups.items():
            place = {"model": iteration.label, "iteration": iteration.number, "part": part, "group": group}
            found += [place | {"measure": name, **values[name]} for name in MEASURES if name in values]
    return found


def _chart(draw: charts.Draw, iterations: list[Iteration], beside: Path) -> dict[str, str] | None:
    """A chart as SVG for the page, and as a PNG file."""
    name, caption = draw.__name__, (draw.__doc__ or "").strip()
    with drawing(PNG, name):
        figure = draw(iterations, PNG)
        (beside / f"{name}.png").unlink(missing_ok=True)
        if figure is None:
            return None
        _save(figure, beside / f"{name}.png")
    with drawing(SVG, name):
        figure = draw(iterations, SVG)
        return {"caption": caption, "svg": svg_of(figure, name.replace("_", " "))} if figure else None


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=160, metadata={"Software": None})


def _verdicts(run: Path, iterations: list[Iteration]) -> list[str]:
    """Of the last generator, and of the writer where there is one."""
    numbers = {found.number for found in iterations if found.scores and found.name != WRITER}
    try:
        if 0 not in numbers or len(numbers) == 1:
            return ["Base model and generator are not both evaluated yet."]
        said = [verdict(run, max(numbers))]
        for release in (found.folder for found in iterations if found.scores and found.name == WRITER):
            said += writer_verdicts(run, int(release.name.rpartition("-")[2]), release)
        return said
    except UserError as error:
        return [str(error)]


def _score_table(iterations: list[Iteration]) -> list[dict[str, Any]]:
    """A line a measure; of each model the mean with its interval."""
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
    return pair | {name: text if len(text) <= _TEXT else text[:_TEXT] + " […]" for name, text in texts.items()}


def _versions(iterations: list[Iteration]) -> dict[str, Any]:
    """What the last finished stage ran with."""
    manifests = [manifest for found in iterations for manifest in found.manifests.values()]
    last = max(manifests, key=lambda manifest: str(manifest.timings.get("finished_at", "")))
    return {"finished at": last.timings.get("finished_at", "?"), "seed": last.fingerprint.get("seed", "?"), **last.environment}


def _template() -> jinja2.Template:
    """Everything that is filled in is escaped, but the charts: their only texts are our own labels and reasons."""
    source = (resources.files("lengthen.evaluate.report") / "templates" / "report.html").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(source)
