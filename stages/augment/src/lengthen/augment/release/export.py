"""Export a released dataset as a folder for a dataset hub and `load_dataset`: data/*.parquet and a dataset card.

python -m lengthen.augment.release.export RUN/release-02/dataset RUN/release-02/hub --scores writer=RUN/release-02/scores
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.stage.command import FOLDER

if TYPE_CHECKING:
    import pyarrow as pa
    from lengthen.augment.release.card import Contents
    from lengthen.common.store.manifest import Manifest
    from lengthen.common.store.reader import Dataset

MARKER = ".export.json"  # what the export was made from; no reader takes a dot file for data
COLUMNS = ("id", "query", "response", "language", "words", "kind", "lower", "upper", "demand", "demand_by", "iteration",
           "source", "source_id", "instruction_id")  # fmt: skip
FILE_BYTES = 256 * 2**20  # of text in one file, before compression
_BATCH = 256


def export(dataset: Dataset, folder: Path, scores: dict[str, Manifest], repo: str, licence: str) -> bool:
    """Write the folder atomically. Returns False if it exists already.

    Raises:
        UserError: the folder has other content.
    """
    from lengthen.augment.release.card import card
    from lengthen.common.process.errors import UserError
    from lengthen.common.tables.definitions import DATASET

    made_from = {"dataset": dataset.manifest.content_digest} | {f"scores {name}": found.content_digest for name, found in scores.items()}
    made_from |= {"version": str(DATASET.version), "repo": repo, "licence": licence}
    if folder.exists():
        if (folder / MARKER).is_file() and json.loads((folder / MARKER).read_text()) == made_from:
            return False
        raise UserError(
            f"{folder} exists, and is not an export of this dataset with these options; give another folder, or delete this one"
        )
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "data").mkdir(parents=True)
    contents = _write_rows(dataset, partial / "data")
    (partial / "README.md").write_text(card(dataset.manifest, contents, scores, repo, licence), encoding="utf-8")
    (partial / MARKER).write_text(json.dumps(made_from, indent=1))
    partial.rename(folder)
    return True


def _write_rows(dataset: Dataset, folder: Path) -> Contents:
    """Write each split to files of limited size, its rows in order of their ids."""
    from lengthen.augment.release.card import Contents

    contents = Contents([], {}, Counter(), set(), set())
    for split in ("train", "test"):
        files = _Files(folder, split)
        for row in dataset.rows([*COLUMNS, "split", "model"]):
            if row["split"] == split:
                files.add(row)
                contents.counts.setdefault(split, Counter())[row["kind"]] += 1
                contents.words.append(row["words"])
                contents.languages[row["language"]] += 1
                contents.iterations.add(row["iteration"])
                contents.models.add(row["model"])
        files.close()
    return contents


class _Files:
    """Writes `SPLIT-00000-of-00002.parquet` and so on; the files get their names in `close`, when their number is known."""

    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.split = folder, split
        self._pending: list[dict[str, Any]] = []
        self._files: list[Path] = []
        self._writer: Any = None
        self._bytes = 0

    def add(self, row: dict[str, Any]) -> None:
        chat = [{"role": "user", "content": row["query"]}, {"role": "assistant", "content": row["response"]}]
        self._pending.append({"messages": chat, **{name: row[name] for name in COLUMNS}})
        self._bytes += len(row["response"].encode("utf-8", "surrogatepass"))
        if len(self._pending) >= _BATCH or self._bytes >= FILE_BYTES:
            self._flush()
        if self._bytes >= FILE_BYTES:
            self._finish()

    def close(self) -> None:
        self._flush()
        self._finish()
        for number, path in enumerate(self._files):
            path.rename(self.folder / f"{self.split}-{number:05d}-of-{len(self._files):05d}.parquet")

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._pending:
            return
        schema = _schema()
        if self._writer is None:
            self._files.append(self.folder / f".{self.split}-{len(self._files):05d}")
            self._writer = pq.ParquetWriter(self._files[-1], schema, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._pending, schema))
        self._pending.clear()

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._bytes = None, 0


def _schema() -> pa.Schema:
    import pyarrow as pa
    from lengthen.common.tables.definitions import DATASET

    chat = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    return pa.schema([pa.field("messages", chat, nullable=False), *(DATASET.schema.field(name) for name in COLUMNS)])


@click.command(context_settings={"max_content_width": 110})
@click.argument("dataset", type=FOLDER)
@click.argument("folder", type=FOLDER)
@click.option("--scores", multiple=True, metavar="NAME=FOLDER", help="Scores for the card, such as writer=RUN/release-02/scores.")
@click.option("--repo", default="owner/name", show_default=True, help="The dataset's name on the hub, for the card.")
@click.option("--license", "licence", default="unknown", show_default=True, help="The hub's identifier of the licence, such as cc-by-4.0.")
def main(dataset: Path, folder: Path, scores: tuple[str, ...], repo: str, licence: str) -> None:
    """Export a released DATASET to FOLDER: data/train-*.parquet, data/test-*.parquet, and the dataset card README.md."""

    def work() -> None:
        from lengthen.common.process.errors import UserError
        from lengthen.common.store.reader import open_dataset
        from lengthen.common.tables.definitions import DATASET, SCORES

        if not isinstance(folder, Path):
            raise UserError(f"{folder} is not a local folder; an export needs one, since the upload reads it (make release: HUB=…)")
        found = {}
        for item in scores:
            name, equals, location = item.partition("=")
            if not equals:
                raise click.BadParameter(f"{item!r} is not of the form NAME=FOLDER", param_hint="--scores")
            found[name] = open_dataset(FOLDER.convert(location, None, None), SCORES).manifest
        new = export(open_dataset(dataset, DATASET), folder, found, repo, licence)
        click.echo(f"export: {folder} {'is complete' if new else 'exists already'}; check README.md, then upload it with push", err=True)

    with_exit_codes(work)


if __name__ == "__main__":
    main()
