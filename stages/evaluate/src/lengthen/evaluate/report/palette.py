"""Two palettes for charts: colours for PNG files, and placeholders that become the page's CSS variables in SVG.

The same SVG works in light mode, dark mode and print: the page's CSS defines `var(--series-1)`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

SERIES = ("#6b7280", "#2563a8", "#c2570c", "#0f766e", "#9333a8", "#a16207", "#be123c", "#4d7c0f")
SERIES_DARK = ("#a3aab5", "#6aa9ee", "#f29a55", "#4fc4b8", "#cf8ee0", "#dcb13c", "#f5809a", "#a5cc5c")


@dataclass(frozen=True)
class Palette:
    text: str
    grid: str
    paper: str
    series: tuple[str, ...]

    def colour_of(self, number: int) -> str:
        """The colour of a model or iteration; 0 is the base model's."""
        return self.series[number % len(self.series)] if number == 0 else self.series[1 + (number - 1) % (len(self.series) - 1)]


PNG = Palette("#1f2937", "#d7dbe2", "#ffffff", SERIES)
SVG = Palette("#010a01", "#010a02", "none", tuple(f"#010b{number:02x}" for number in range(len(SERIES))))
_CSS_VARIABLES = {SVG.text: "var(--text)", SVG.grid: "var(--grid)"} | {colour: f"var(--series-{n})" for n, colour in enumerate(SVG.series)}


@contextmanager
def drawing(palette: Palette, name: str) -> Iterator[None]:
    """Matplotlib's settings for drawing and saving a chart; `name` makes the ids of an SVG unique."""
    colours = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.titlecolor"), palette.text)
    settings: dict[Any, Any] = {
        **colours, "axes.edgecolor": palette.grid, "grid.color": palette.grid, "axes.facecolor": "none", "figure.facecolor": palette.paper,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True,
        "grid.linewidth": 0.6, "font.size": 9, "axes.titlesize": 10, "axes.labelsize": 9, "legend.frameon": False, "legend.fontsize": 8,
        "svg.fonttype": "none", "svg.hashsalt": name, "xtick.major.size": 0, "ytick.major.size": 0, "figure.constrained_layout.use": True,
    }  # fmt: skip
    with mpl.rc_context(settings):
        yield


def svg_of(figure: Figure, label: str) -> str:
    """Inline SVG without header, metadata and fixed size, with the page's CSS variables as colours."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{label}">', svg, count=1)
    svg = re.sub(r' xmlns(?::\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r"(\d+\.\d{2})\d+", r"\1", svg)
    for colour, variable in _CSS_VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
