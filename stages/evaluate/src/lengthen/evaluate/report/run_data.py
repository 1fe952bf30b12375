"""Read a run for the report, complete or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import nsmallest
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from lengthen.common.method.ids import attempt_seed
from lengthen.common.process.errors import UserError
from lengthen.common.store.manifest import Manifest, read_manifest
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables.definitions import EXPANSIONS, SCORES
from lengthen.evaluate.figures import FIGURE_COLUMNS
from lengthen.evaluate.summary import RELEASE_STAGES, STAGES

_EXPANSION_COLUMNS = ["response_words", "expansion_words", "growth", "attempts", "language"]
_PAIRS = 3
WRITER = "writer"
Row = dict[str, Any]


@dataclass
class Iteration:
    """An iteration's manifests by stage, and the rows for the charts. `missing` has the reason for each missing stage.

    The last release is read like an iteration, with the `name` "writer" and the number after the last iteration.
    """

    number: int
    folder: Path
    name: str = ""
    manifests: dict[str, Manifest] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    scores: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    expansions: list[Row] = field(default_factory=list)
    losses: dict[str, list[Row]] = field(default_factory=dict)  # by role

    @property
    def label(self) -> str:
        return self.name or (f"iteration {self.number}" if self.number else "base model")


def read_run(run: Path) -> list[Iteration]:
    """Every iteration of a run, number 0 with the base model's scores, and the last release.

    Raises:
        UserError: the folder has no complete stage.
    """
    folders = sorted(path for path in run.glob("iter-*") if path.name.removeprefix("iter-").isdigit())
    found = [_read(Iteration(number, folder), STAGES if number else ("scores",)) for number, folder in _numbered(folders)]
    if not any(iteration.manifests for iteration in found):
        raise UserError(f"{run} has no complete stage of any iteration; run `make iteration` first")
    releases = sorted(path for path in run.glob("release-*") if path.name.removeprefix("release-").isdigit())
    return found + [_read(Iteration(found[-1].number + 1, folder, WRITER), RELEASE_STAGES) for folder in releases[-1:]]


def sample_pairs(iterations: list[Iteration], seed: int) -> tuple[str, list[Row]]:
    """The last iteration with expansions, and three drafts with their expansions, drawn with the seed."""
    for iteration in reversed(iterations):
        if iteration.expansions:
            dataset = open_dataset(iteration.folder / "expansions", EXPANSIONS)
            drawn = nsmallest(_PAIRS, (attempt_seed(seed, row["id"], "report") for row in dataset.rows(["id"])))
            columns = ["instruction", "response", "expansion", "response_words", "expansion_words", "growth"]
            return iteration.label, [row for row in dataset.rows(columns) if attempt_seed(seed, row["id"], "report") in drawn]
    return "", []


def _numbered(folders: list[Path]) -> list[tuple[int, Path]]:
    return [(int(folder.name.removeprefix("iter-")), folder) for folder in folders]


def _read(found: Iteration, stages: tuple[str, ...]) -> Iteration:
    for stage in stages:
        try:
            _read_stage(found, stage)
        except UserError as error:
            found.missing[stage] = str(error)
    return found


def _read_stage(found: Iteration, stage: str) -> None:
    folder = found.folder / stage
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError("started, not complete" if (folder / ".work").exists() else "not started")
    if stage == "scores":
        found.scores = list(open_dataset(folder, SCORES).rows(FIGURE_COLUMNS))
        found.figures = manifest.summary
    elif stage == "expansions":
        found.expansions = list(open_dataset(folder, EXPANSIONS).rows(_EXPANSION_COLUMNS))
    elif stage in ("generator", "extender", "writer"):
        logs = sorted((folder / ".train_log").glob("*.parquet"))
        found.losses[stage] = [row for log in logs for row in pq.read_table(log).to_pylist()]
    found.manifests[stage] = manifest
