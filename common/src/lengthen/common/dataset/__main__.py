"""Show a dataset, verify it, seal its shards.

python -m lengthen.common.dataset show runs/laptop/iter-01/expansions
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import click
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.stage.command import FOLDER

if TYPE_CHECKING:
    from lengthen.common.store.paths import Folder


@click.group(context_settings={"max_content_width": 110})
def main() -> None:
    """Show a dataset, verify it, seal its shards."""


@main.command()
@click.argument("folder", type=FOLDER)
def verify(folder: Folder) -> None:
    """Check the digests, schemas and counts of FOLDER against its manifest."""
    with_exit_codes(lambda: _verify(folder))


@main.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--max-rejected-share", type=click.FloatRange(0, 1), help="Allowed share of rejected rows. Default: as in the shards' configs."
)
def seal(folder: Folder, max_rejected_share: float | None) -> None:
    """Write the manifest of FOLDER once all of its shards are complete."""

    def work() -> None:
        from lengthen.common.dataset.stage_figures import stage_figures
        from lengthen.common.stage.describe import describe
        from lengthen.common.store.shards import seal as seal_shards

        click.echo(f"{folder} sealed: {describe(seal_shards(folder, stage_figures, max_rejected_share))}")

    with_exit_codes(work)


@main.command()
@click.argument("folder", type=FOLDER)
def show(folder: Folder) -> None:
    """Print rows, words, rejected rows by reason, and the datasets that FOLDER was made from, back to the seeds."""
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
            raise _invalid(folder, f"row {row['id']} is out of order or a duplicate")
        last = row["id"]
    if digest.hexdigest() != dataset.manifest.content_digest:
        raise _invalid(folder, "the content digest differs from the manifest")
    click.echo(f"{folder}: {ids} rows of {dataset.table.name}, {len(dataset.manifest.parts)} parts, as the manifest says")


def _invalid(folder: Folder, what: str) -> Exception:
    from lengthen.common.process.errors import UserError

    return UserError(f"{folder}: {what}; make the dataset again")


def _show(folder: Folder) -> None:
    from lengthen.common.stage.describe import describe
    from lengthen.common.store.reader import open_any

    dataset = open_any(folder)
    manifest = dataset.manifest
    click.echo(f"{folder}: {manifest.table}, {describe(manifest)}")
    click.echo(f"  made {manifest.timings.get('finished_at')} with lengthen {manifest.environment.get('lengthen')}")
    click.echo("made from")
    _lineage(folder)


def _lineage(folder: Folder) -> None:
    """Print the inputs of a dataset and of its inputs, breadth first, each folder once."""
    from lengthen.common.store.manifest import read_manifest
    from lengthen.common.store.paths import parse_folder

    waiting, seen = deque([(folder, 1)]), {folder}
    while waiting:
        current, depth = waiting.popleft()
        manifest = read_manifest(current)
        for name, source in (manifest.lineage if manifest else {}).items():
            path = parse_folder(source)
            inner = read_manifest(path) if path.is_dir() else None
            state = f"{inner.table}, {inner.rows_out} rows" if inner else ("not a dataset" if path.exists() else "does not exist")
            click.echo(f"{'  ' * depth}{name}: {source} ({state})")
            if inner and path not in seen:
                seen.add(path)
                waiting.append((path, depth + 1))


if __name__ == "__main__":
    main()
