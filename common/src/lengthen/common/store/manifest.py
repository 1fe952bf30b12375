"""The manifest: what a complete dataset holds, what it was made from, and how."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from lengthen.common.errors import UserError
from lengthen.common.store.place import Folder

MANIFEST = ".manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Part:
    path: str  # relative to the dataset's folder
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    table: str
    version: int
    parts: list[Part]
    rejected_parts: list[Part]
    rows_in: int
    rows_out: int
    rejected: dict[str, int]  # by reason
    content_digest: str  # over the rows in order of their ids, whatever the parts
    fingerprint: dict[str, Any]  # everything that decided the rows
    lineage: dict[str, Any]  # paths of inputs, adapter and model
    tokens: int  # generated, rejected attempts included
    summary: dict[str, Any] = field(default_factory=dict)  # figures of the stage, such as its mean words
    # When and how long: seconds and tokens lost over all runs, should it have been stopped. Like `environment` (versions,
    # git revision, host) these differ between two runs that make the same rows; nothing else in a manifest does.
    timings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def seconds(self) -> float:
        return float(self.timings.get("seconds", 0.0))

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def read_manifest(folder: Folder) -> Manifest | None:
    """A folder's manifest, or None when it has none (it is no complete dataset).

    Raises:
        UserError: there is one, and it isn't ours.
    """
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read ({error}); make the dataset again") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise UserError(f"{path} is of another format than {FORMAT}; make the dataset again")
    try:
        for key in ("parts", "rejected_parts"):
            raw[key] = [Part(**part) for part in raw[key]]
        return Manifest(**raw)
    except (TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}); make the dataset again") from error


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two fingerprints, as `name: before -> now`."""
    return [
        f"{key}: {_short(before.get(key))} -> {_short(now.get(key))}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:18] + "…" + text[-18:]
