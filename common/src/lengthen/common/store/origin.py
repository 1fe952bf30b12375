"""What a dataset is made from, and whether it is complete already."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from lengthen.common.process.errors import UserError
from lengthen.common.store.manifest import Manifest, differences, read_manifest
from lengthen.common.store.paths import Folder, read_json

WORK = ".work"


@dataclass(frozen=True)
class Origin:
    """What a dataset is made from: `fingerprint` is everything that decides its rows, `lineage` the paths they came from."""

    fingerprint: dict[str, Any]
    lineage: dict[str, Any] = field(default_factory=dict)
    # Of a shard: the rows of all shards together. It may end without a row, and the allowed share of rejected rows is of all rows.
    rows_of_all: float | None = None


def completed(folder: Folder, origin: Origin, overwrite: bool) -> Manifest | None:
    """The manifest of a dataset that is complete with this fingerprint, or None when it has to be made.

    Raises:
        UserError: it is complete, or was started, with another fingerprint; the message names what differs.
    """
    manifest = read_manifest(folder)
    if overwrite:
        return None
    before = manifest.fingerprint if manifest else read_json(folder / WORK / "fingerprint.json")
    if before is not None and (changed := differences(before, json.loads(json.dumps(origin.fingerprint)))):
        state = "is complete" if manifest else "was started"
        raise UserError(f"{folder} {state} with other settings ({'; '.join(changed)}); give another --output, or use --overwrite")
    return manifest
