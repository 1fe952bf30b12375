"""Look at a dataset, check it, seal its shards.

python -m lengthen.common.dataset show runs/laptop/iter-01/expansions
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import click
from lengthen.common.cli import FOLDER, with_exit_codes

if TYPE_CHECKING:
    from lengthen.common.store.place import Folder


@click.group(context_settings={"max_content_width": 110})
def main() -> None:
    """Look at a dataset, check it, seal its shards."""


@main.command()
@click.argument("folder", type=FOLDER)
def verify(folder: Folder) -> None:
    """Check every digest, schema and count of FOLDER against its manifest."""
    with_exit_codes(lambda: _verify(folder))


@main.command()
@click.argument("folder", type=FOLDER)
def seal(folder: Folder) -> None:
    """Write the manifest of FOLDER once all of its shards are complete."""

    def work() -> None:
        from lengthen.common.report import describe
        from lengthen.common.store.shard import seal as seal_shards

        click.echo(f"{folder} sealed: {describe(seal_shards(folder))}")

    with_exit_codes(work)


@main.command()
@click.argument("folder", type=FOLDER)
def show(folder: Folder) -> None:
    """Rows, words, rejected rows by reason, and what FOLDER was made from, up to the seeds."""
    with_exit_codes(lambda: _show(folder))


def _verify(folder: Folder) -> None:
    from lengthen.common.store.compaction import RowDigest
    from lengthen.common.store.reader import open_any

    dataset = open_any(folder)
    digest, ids = RowDigest(), 0
    last = ""
    for row in dataset.rows():
        digest.add(row)
        ids += 1
        if row["id"] <= last:
            raise _broken(folder, f"row {row['id']} is out of order or stands twice")
        last = row["id"]
    if digest.hexdigest() != dataset.manifest.content_digest:
        raise _broken(folder, "the content digest differs")
    click.echo(f"{folder}: {ids} rows of {dataset.table.name}, {len(dataset.manifest.parts)} parts, as the manifest says")


def _broken(folder: Folder, what: str) -> Exception:
    from lengthen.common.errors import UserError

    return UserError(f"{folder}: {what}; make the dataset again")


def _show(folder: Folder) -> None:
    from lengthen.common.report import describe
    from lengthen.common.store.reader import open_any

    dataset = open_any(folder)
    manifest = dataset.manifest
    click.echo(f"{folder}: {manifest.table}, {describe(manifest)}")
    click.echo(f"  made {manifest.timings.get('finished_at')} with lengthen {manifest.environment.get('lengthen')}")
    click.echo("made from")
    _lineage(folder)


def _lineage(folder: Folder) -> None:
    """Breadth first through the inputs' manifests; each folder once."""
    from lengthen.common.store.manifest import read_manifest
    from lengthen.common.store.place import parse_folder

    waiting, seen = deque([(folder, 1)]), {folder}
    while waiting:
        place, depth = waiting.popleft()
        manifest = read_manifest(place)
        for name, source in (manifest.lineage if manifest else {}).items():
            path = parse_folder(source)
            inner = read_manifest(path) if path.is_dir() else None
            known = f"{inner.table}, {inner.rows_out} rows" if inner else ("not a dataset" if path.exists() else "no longer there")
            click.echo(f"{'  ' * depth}{name}: {source} ({known})")
            if inner and path not in seen:
                seen.add(path)
                waiting.append((path, depth + 1))


if __name__ == "__main__":
    main()
