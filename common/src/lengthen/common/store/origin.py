"""What a dataset is made from, and whether it is there already."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from lengthen.common.errors import UserError
from lengthen.common.store.manifest import Manifest, differences, read_manifest
from lengthen.common.store.place import Folder

WORK = ".work"


@dataclass(frozen=True)
class Origin:
    """What a dataset is made from: the fingerprint decides its rows, the lineage says where they came from."""

    fingerprint: dict[str, Any]
    lineage: dict[str, Any] = field(default_factory=dict)


def completed(folder: Folder, origin: Origin, overwrite: bool) -> Manifest | None:
    """The manifest of a dataset that is complete for this fingerprint, or None when it has to be made.

    Raises:
        UserError: it is complete, or begun, for another fingerprint: names what differs.
    """
    manifest = read_manifest(folder)
    if overwrite:
        return None
    before = manifest.fingerprint if manifest else _begun_fingerprint(folder)
    if before is not None and (changed := differences(before, json.loads(json.dumps(origin.fingerprint)))):
        state = "is complete" if manifest else "is begun"
        raise UserError(f"{folder} {state} with other settings ({'; '.join(changed)}); give another --output, or --overwrite")
    return manifest


def read_json(path: Folder) -> dict[str, Any] | None:
    """A small file of the journal, or None when there is none."""
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return value


def _begun_fingerprint(folder: Folder) -> dict[str, Any] | None:
    return read_json(folder / WORK / "fingerprint.json")
