"""The dataset card of a release: Markdown, with YAML front matter for the hub and `load_dataset`."""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources
from pathlib import PurePosixPath
from typing import NamedTuple

from huggingface_hub import DatasetCardData
from lengthen.common.method.prompt_file import PromptFile
from lengthen.common.store.manifest import Manifest

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MAX_BAR = 40  # characters of the histogram's longest bar
_MAX_BINS = 12  # of the histogram
_SETTINGS = ("seed", "release.min_words", "release.answers", "release.without_demand", "release.test_share")
_VARIABLES = {"title", "repo", "rows", "with_demand", "model", "iterations", "counts", "mean_words", "shortest", "longest",
              "histogram", "scores", "lineage", "settings", "versions", "judged"}  # fmt: skip


class Contents(NamedTuple):
    """The rows' figures in the card."""

    words: list[int]
    counts: dict[str, Counter[str]]  # split -> kind of demand -> rows
    languages: Counter[str]
    iterations: set[int]
    models: set[str]


def card(manifest: Manifest, contents: Contents, scores: dict[str, Manifest], repo: str, licence: str) -> str:
    """The text of README.md. Names are escaped, and of paths only the last two parts are shown."""
    title = repo.rpartition("/")[2]
    rows = len(contents.words)
    judged = (
        f" {manifest.rejected['low_quality']:,} rows with low grades by a judge were rejected."
        if "low_quality" in manifest.rejected
        else ""
    )
    values = {
        "title": title,
        "repo": repo,
        "rows": f"{rows:,}",
        "with_demand": f"{rows - sum(kinds['none'] for kinds in contents.counts.values()):,}",
        "model": ", ".join(sorted(contents.models)),
        "iterations": f"iterations {min(contents.iterations)} to {max(contents.iterations)}",
        "counts": _counts(contents),
        "mean_words": f"{sum(contents.words) / rows:,.0f}",
        "shortest": f"{min(contents.words):,}",
        "longest": f"{max(contents.words):,}",
        "histogram": histogram(contents.words),
        "scores": _scores(scores),
        "lineage": _lineage(manifest),
        "settings": ", ".join(f"{key} {manifest.fingerprint.get(key, '?')}" for key in _SETTINGS),
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.environment.items() if name != "host"),
        "judged": judged,
    }
    verbatim = {"counts", "histogram", "scores", "lineage", "judged"}
    body = _template().fill(**{name: value if name in verbatim else escape_markup(value) for name, value in values.items()})
    return f"---\n{_front_matter(contents, title, licence)}---\n\n{body}\n"


def escape_markup(text: str) -> str:
    """The text on one line, with the characters of Markdown and HTML markup escaped."""
    return re.sub(r"([\\`*\[\]<>|#$])", r"\\\1", " ".join(text.split()))


def histogram(words: list[int]) -> str:
    """Lines of the form `from to to  bar count`, with round bin edges."""
    span = max(words) - min(words) + 1
    step = next(step for power in range(9) for step in (10**power, 2 * 10**power, 5 * 10**power) if span / step <= _MAX_BINS - 1)
    bins = Counter(count // step for count in words)
    lines = []
    for number in range(min(bins), max(bins) + 1):
        bar = "█" * round(_MAX_BAR * bins[number] / max(bins.values()))
        lines.append(f"{number * step:>7,} to {(number + 1) * step - 1:>7,}  {bar:<{_MAX_BAR}} {bins[number]:,}")
    return "\n".join(lines)


def _front_matter(contents: Contents, title: str, licence: str) -> str:
    rows = len(contents.words)
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in contents.counts]
    data = DatasetCardData(
        license=licence,
        pretty_name=title,
        language=sorted(contents.languages),
        task_categories=["text-generation"],
        tags=["long-form-generation", "length-control", "synthetic"],
        size_categories=[next((name for below, name in _SIZES if rows < below), "n>1M")],
        configs=[{"config_name": "default", "data_files": files}],
    )
    return data.to_yaml() + "\n"


def _counts(contents: Contents) -> str:
    kinds = ["about", "range", "above", "below", "none"]
    lines = [["split", "rows", *kinds]]
    for split, found in contents.counts.items():
        lines.append([split, *(f"{count:,}" for count in (found.total(), *(found[kind] for kind in kinds)))])
    languages = ", ".join(f"{name} {count:,}" for name, count in sorted(contents.languages.items()))
    return f"{_table(lines)}\n\nLanguages: {escape_markup(languages)}."


def _scores(scores: dict[str, Manifest]) -> str:
    """A table with one row for each model: means with 95 % bootstrap intervals over prompts."""
    if not scores:
        return "Not measured."
    lines = [["model", "length score, of 1", "words per answer", "prompts"]]
    for name, manifest in scores.items():
        overall = manifest.summary.get("overall", {})
        prompts = str(overall["words"]["values"]) if "words" in overall else "–"
        lines.append([escape_markup(name), _interval(overall.get("length_score")), _interval(overall.get("words")), prompts])
    return _table(lines) + "\n\nMeans over prompts with 95 % bootstrap intervals. LonGen's length score: 1 within the demand's bounds."


def _interval(found: dict[str, float] | None) -> str:
    if not found:
        return "–"
    mean, low, high = (f"{found[name]:.3g}" if found["high"] < 100 else f"{found[name]:,.0f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def _lineage(manifest: Manifest) -> str:
    """The datasets that this one was made from, with the digests of their contents."""
    lines = [["made from", "content digest"]]
    for key, folder in manifest.lineage.items():
        if key in manifest.fingerprint:
            lines.append(["/".join(PurePosixPath(str(folder)).parts[-2:]), str(manifest.fingerprint[key])[:16]])
    table = _table([[escape_markup(cell) for cell in line] for line in lines])
    return f"{table}\n\nThe content digest of this release: {manifest.content_digest[:16]}."


def _table(lines: list[list[str]]) -> str:
    head, *rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rows])


def _template() -> PromptFile:
    name = "cards/dataset.md"
    return PromptFile((resources.files("lengthen.augment.release") / name).read_text(encoding="utf-8"), _VARIABLES, name)
