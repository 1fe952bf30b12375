"""The dataset card: what a release is, in Markdown with the front matter that a hub and `load_dataset` read."""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml
from lengthen.common.promptfile import PromptFile
from lengthen.common.store.manifest import Manifest

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_BARS = 40  # characters of the longest
_BINS = 12  # of the histogram, at most
_SETTINGS = ("seed", "release.min_words", "release.answers", "release.prefer", "release.without_demand", "release.test_share")
_PLACES = {"title", "repo", "rows", "with_demand", "model", "iterations", "counts", "mean_words", "shortest", "longest",
           "histogram", "scores", "lineage", "settings", "versions", "judged"}  # fmt: skip


class Contents(NamedTuple):
    """What the card says of the rows."""

    words: list[int]
    counts: dict[str, Counter[str]]  # split -> kind of demand -> rows
    languages: Counter[str]
    iterations: set[int]
    models: set[str]


def card(manifest: Manifest, contents: Contents, scores: dict[str, Manifest], repo: str, licence: str) -> str:
    """The text of README.md. Names and paths in it are made harmless: of paths only the last two parts are told."""
    title = repo.rpartition("/")[2]
    rows = len(contents.words)
    judged = f" A judge's low grades took out {manifest.rejected['low_quality']:,} rows." if "low_quality" in manifest.rejected else ""
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
    body = _template().fill(**{name: value if name in verbatim else plain(value) for name, value in values.items()})
    return f"---\n{_front_matter(contents, title, licence)}---\n\n{body}\n"


def plain(text: str) -> str:
    """On one line, without anything that Markdown or HTML would take for markup."""
    return re.sub(r"([\\`*\[\]<>|#$])", r"\\\1", " ".join(text.split()))


def histogram(words: list[int]) -> str:
    """Lines of `from - to | bar | count`, in round steps."""
    span = max(words) - min(words) + 1
    step = next(step for power in range(9) for step in (10**power, 2 * 10**power, 5 * 10**power) if span / step <= _BINS - 1)
    bins = Counter(count // step for count in words)
    lines = []
    for number in range(min(bins), max(bins) + 1):
        bar = "█" * round(_BARS * bins[number] / max(bins.values()))
        lines.append(f"{number * step:>7,} to {(number + 1) * step - 1:>7,}  {bar:<{_BARS}} {bins[number]:,}")
    return "\n".join(lines)


def _front_matter(contents: Contents, title: str, licence: str) -> str:
    rows = len(contents.words)
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in contents.counts]
    values: dict[str, Any] = {
        "license": licence,
        "pretty_name": title,
        "language": sorted(contents.languages),
        "task_categories": ["text-generation"],
        "tags": ["long-form-generation", "length-control", "synthetic"],
        "size_categories": [next((name for below, name in _SIZES if rows < below), "n>1M")],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False)


def _counts(contents: Contents) -> str:
    kinds = ["about", "range", "above", "below", "none"]
    lines = [["split", "rows", *kinds]]
    for split, found in contents.counts.items():
        lines.append([split, *(f"{count:,}" for count in (found.total(), *(found[kind] for kind in kinds)))])
    languages = ", ".join(f"{name} {count:,}" for name, count in sorted(contents.languages.items()))
    return f"{_table(lines)}\n\nLanguages: {plain(languages)}."


def _scores(scores: dict[str, Manifest]) -> str:
    """A line a model; mean with 95 % bootstrap interval over prompts."""
    if not scores:
        return "Not measured."
    lines = [["model", "length score, of 1", "words an answer", "prompts"]]
    for name, manifest in scores.items():
        overall = manifest.summary.get("overall", {})
        prompts = str(overall["words"]["values"]) if "words" in overall else "–"
        lines.append([plain(name), _interval(overall.get("length_score")), _interval(overall.get("words")), prompts])
    return _table(lines) + "\n\nMeans over prompts with 95 % bootstrap intervals; the length score is LonGen's: 1 inside a demand's bounds."


def _interval(found: dict[str, float] | None) -> str:
    if not found:
        return "–"
    mean, low, high = (f"{found[name]:.3g}" if found["high"] < 100 else f"{found[name]:,.0f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def _lineage(manifest: Manifest) -> str:
    """Which datasets this was made from, by the digests of their contents."""
    lines = [["made from", "content digest"]]
    for key, folder in manifest.lineage.items():
        if key in manifest.fingerprint:
            lines.append(["/".join(PurePosixPath(str(folder)).parts[-2:]), str(manifest.fingerprint[key])[:16]])
    table = _table([[plain(cell) for cell in line] for line in lines])
    return f"{table}\n\nThis release's own content digest: {manifest.content_digest[:16]}."


def _table(lines: list[list[str]]) -> str:
    head, *rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rows])


def _template() -> PromptFile:
    name = "cards/dataset.md"
    return PromptFile((resources.files("lengthen.common") / name).read_text(encoding="utf-8"), _PLACES, name)
