"""Shards: a dataset written by n processes that know nothing of each other, and sealed when all are there.

A row belongs to shard `hash of its id mod n`, so shards need no coordination, and a sealed dataset has the same rows,
fingerprint and content digest as one written whole.
"""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lengthen.common.environment import environment
from lengthen.common.errors import TransientError, UserError
from lengthen.common.score_figures import FIGURE_COLUMNS, score_figures
from lengthen.common.store.compaction import RowDigest
from lengthen.common.store.files import create_exclusively
from lengthen.common.store.manifest import MANIFEST, Manifest, Part, differences, read_manifest
from lengthen.common.store.place import Folder, found
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.tables import SCORES, TABLES

_FOLDER = re.compile(r"shard-(\d+)-of-(\d+)")


@dataclass(frozen=True)
class Shard:
    """Shard `index` of `count`, from 0 on. As text: `0/4`."""

    index: int
    count: int

    @staticmethod
    def parse(text: str) -> Shard:
        """Raises: UserError: not of the form i/n with 0 <= i < n."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match or not int(match[1]) < int(match[2]):
            raise UserError(f"--shard {text!r} is not of the form i/n with i from 0 to n - 1, such as 0/4")
        return Shard(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, row: str) -> bool:
        return int(row[:8], 16) % self.count == self.index

    def folder(self, dataset: Folder) -> Folder:
        return dataset / f"shard-{self.index}-of-{self.count}"


def seal(folder: Folder) -> Manifest:
    """Write the manifest of a dataset whose shards are all complete.

    Raises:
        UserError: no shards, shards of different counts, one missing or of other settings, or rows beside the shards.
    """
    if manifest := read_manifest(folder):
        return manifest
    datasets = _shards(folder)
    manifests = [dataset.manifest for dataset in datasets]
    digest = RowDigest()
    for row in heapq.merge(*(dataset.rows() for dataset in datasets), key=lambda row: row["id"]):
        digest.add(row)
    manifest = Manifest(
        table=manifests[0].table,
        version=manifests[0].version,
        parts=[_inside(dataset, part) for dataset in datasets for part in dataset.manifest.parts],
        rejected_parts=[_inside(dataset, part) for dataset in datasets for part in dataset.manifest.rejected_parts],
        rows_in=sum(manifest.rows_in for manifest in manifests),
        rows_out=sum(manifest.rows_out for manifest in manifests),
        rejected=_added([manifest.rejected for manifest in manifests]),
        content_digest=digest.hexdigest(),
        fingerprint=_without_shard(manifests[0]),
        lineage=manifests[0].lineage,
        tokens=sum(manifest.tokens for manifest in manifests),
        summary=score_figures(row for dataset in datasets for row in dataset.rows(FIGURE_COLUMNS))
        if manifests[0].table == SCORES.name
        else _summary(manifests),
        timings=_added([{k: v for k, v in manifest.timings.items() if k != "finished_at"} for manifest in manifests])
        | {"finished_at": datetime.now(UTC).isoformat(timespec="seconds")},
        environment=environment(),
    )
    if not _create(folder / MANIFEST, manifest.to_json()):
        raise TransientError(f"{folder} was sealed by another process meanwhile")
    return manifest


def _shards(folder: Folder) -> list[Dataset]:
    """Every shard, checked to belong together."""
    shards = {path: match for path in found(folder, "shard-*") if (match := _FOLDER.fullmatch(path.name))}
    if not shards:
        raise UserError(f"{folder} has no shards; run its stage with --shard 0/n … first")
    if stray := next(iter(found(folder, "*.parquet")), None):
        raise UserError(f"{stray} lies beside shards: two layouts in one folder; give the sharded run a folder of its own")
    counts = {int(match[2]) for match in shards.values()}
    if len(counts) > 1:
        raise UserError(f"{folder} has shards of different counts ({', '.join(map(str, sorted(counts)))}); remove those that don't belong")
    count = counts.pop()
    datasets = []
    for index in range(count):
        path = Shard(index, count).folder(folder)
        manifest = read_manifest(path)
        if manifest is None:
            raise UserError(f"{path} is not complete; run its stage with --shard {index}/{count}, then seal again")
        datasets.append(open_dataset(path, TABLES[manifest.table]))
    first = _without_shard(datasets[0].manifest)
    for dataset in datasets:
        if changed := differences(first, _without_shard(dataset.manifest)):
            raise UserError(f"{dataset.folder} was made with other settings than shard 0 ({'; '.join(changed)}); make it again")
    return datasets


def _create(target: Folder, content: bytes) -> bool:
    return create_exclusively(target, content) if isinstance(target, Path) else target.create(content)


def _without_shard(manifest: Manifest) -> dict[str, Any]:
    return {key: value for key, value in manifest.fingerprint.items() if key != "shard"}


def _inside(dataset: Dataset, part: Part) -> Part:
    return Part(f"{dataset.folder.name}/{part.path}", part.rows, part.bytes, part.sha256)


def _added(counts: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: sum(count.get(key, 0) for count in counts) for key in sorted({key for count in counts for key in count})}


def _summary(manifests: list[Manifest]) -> dict[str, Any]:
    """Figures over all rows from the shards' figures: means weighted by the shards' rows, histograms added."""
    rows = sum(manifest.rows_out for manifest in manifests)
    found: dict[str, Any] = {}
    for key in manifests[0].summary if rows else ():
        values = [(manifest.summary[key], manifest.rows_out) for manifest in manifests if manifest.summary.get(key) is not None]
        if values and isinstance(values[0][0], dict):
            found[key] = _added([value for value, _ in values])
        else:
            weight = sum(count for _, count in values)
            found[key] = sum(value * count for value, count in values) / weight if weight else None
    if "tokens_per_word" in found:
        found["tokens_per_word"] = sum(manifest.tokens for manifest in manifests) / (found["mean_words"] * rows)
    return found
