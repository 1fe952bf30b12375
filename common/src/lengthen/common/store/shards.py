"""Shards: a dataset written by n independent processes, and sealed when all are complete.

A row belongs to shard `id mod n` (ids are hashes), so shards need no coordination, and of few rows a shard may have none. A sealed
dataset has the same rows, fingerprint and content digest as one that a single process wrote.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lengthen.common.process.environment import environment
from lengthen.common.process.errors import TransientError, UserError
from lengthen.common.store.commit import check_rejected_share
from lengthen.common.store.compaction import RowDigest
from lengthen.common.store.figures import Figures, Row
from lengthen.common.store.files import create_exclusively
from lengthen.common.store.manifest import MANIFEST, Manifest, Part, differences, read_manifest
from lengthen.common.store.paths import Folder, list_files
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.tables.definitions import TABLES

_FOLDER = re.compile(r"shard-(\d+)-of-(\d+)")


@dataclass(frozen=True)
class Shard:
    """Shard `index` (from 0) of `count`. As text: `0/4`."""

    index: int
    count: int

    @staticmethod
    def parse(text: str) -> Shard:
        """Raises: UserError: the text is not of the form i/n with 0 <= i < n."""
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


def seal(folder: Folder, figures_of: Callable[[Manifest], Figures], max_rejected_share: float | None = None) -> Manifest:
    """Write the manifest of a dataset whose shards are all complete.

    Args:
        folder: the dataset's folder, with the shards in it.
        figures_of: from a shard's manifest to the figures of the stage that wrote it.
        max_rejected_share: of all rows; None: as the shards' runs allowed (if they differ, the largest).

    Raises:
        UserError: no shards; different shard counts; a shard that is incomplete or has other settings; Parquet files beside the shards;
            no row is left, or more rows are rejected than the allowed share.
    """
    if manifest := read_manifest(folder):
        return manifest
    datasets = _shards(folder)
    manifests = [dataset.manifest for dataset in datasets]
    rows_in, rows_out, rejected, allowed = _check_rejected_share(folder, manifests, max_rejected_share)
    figures, tokens = figures_of(manifests[0]), sum(manifest.tokens for manifest in manifests)

    def merged(columns: list[str] | None) -> Iterator[Row]:
        return heapq.merge(*(dataset.rows(columns) for dataset in datasets), key=lambda row: row["id"])

    digest = RowDigest()
    for row in merged(None):
        digest.add(row)
    manifest = Manifest(
        table=manifests[0].table,
        version=manifests[0].version,
        parts=[_with_shard_path(dataset, part) for dataset in datasets for part in dataset.manifest.parts],
        rejected_parts=[_with_shard_path(dataset, part) for dataset in datasets for part in dataset.manifest.rejected_parts],
        rows_in=rows_in,
        rows_out=rows_out,
        rejected=rejected,
        content_digest=digest.hexdigest(),
        fingerprint=_without_shard(manifests[0]),
        lineage=manifests[0].lineage,
        tokens=tokens,
        summary=figures.of(merged(list(figures.columns)) if figures.columns else iter(()), tokens),
        timings=_sum_by_key([{k: v for k, v in manifest.timings.items() if k != "finished_at"} for manifest in manifests])
        | {"finished_at": datetime.now(UTC).isoformat(timespec="seconds")},
        environment=environment(),
        max_rejected_share=allowed,
    )
    if not _create(folder / MANIFEST, manifest.to_json()):
        raise TransientError(f"{folder} was sealed by another process in the meantime; run the same command again")
    return manifest


def _check_rejected_share(folder: Folder, shards: list[Manifest], allowed: float | None) -> tuple[int, int, dict[str, int], float]:
    """Rows in, rows out, rejected rows by reason, and the allowed share, of all shards. Raises as `seal`."""
    rows_in, rows_out = sum(shard.rows_in for shard in shards), sum(shard.rows_out for shard in shards)
    rejected = _sum_by_key([shard.rejected for shard in shards])
    allowed = max(shard.max_rejected_share for shard in shards) if allowed is None else allowed
    advice = f"look at the rejected texts in {folder}/shard-*/.rejected, then make the dataset again with other settings or more rows"
    if rows_out:
        advice += ", or seal it with a higher --max-rejected-share"
    check_rejected_share(folder, rows_in, rows_out, Counter(rejected), allowed, advice=advice)
    return rows_in, rows_out, rejected, allowed


def _shards(folder: Folder) -> list[Dataset]:
    """All shards, after checking that they belong together."""
    shards = {path: match for path in list_files(folder, "shard-*") if (match := _FOLDER.fullmatch(path.name))}
    if not shards:
        raise UserError(f"{folder} has no shards; run its stage with --shard 0/n, 1/n, ... first")
    if stray := next(iter(list_files(folder, "*.parquet")), None):
        raise UserError(f"{stray} is in a folder with shards; use a separate --output for the sharded run")
    counts = {int(match[2]) for match in shards.values()}
    if len(counts) > 1:
        raise UserError(f"{folder} has shards of different counts ({', '.join(map(str, sorted(counts)))}); remove those of the wrong count")
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
            raise UserError(f"{dataset.folder} was made with other settings than shard 0 ({'; '.join(changed)}); make this shard again")
    return datasets


def _create(target: Folder, content: bytes) -> bool:
    return create_exclusively(target, content) if isinstance(target, Path) else target.create(content)


def _without_shard(manifest: Manifest) -> dict[str, Any]:
    return {key: value for key, value in manifest.fingerprint.items() if key != "shard"}


def _with_shard_path(dataset: Dataset, part: Part) -> Part:
    return Part(f"{dataset.folder.name}/{part.path}", part.rows, part.bytes, part.sha256)


def _sum_by_key(counts: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: sum(count.get(key, 0) for count in counts) for key in sorted({key for count in counts for key in count})}
