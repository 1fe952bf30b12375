"""The manifest of a complete dataset: its files, its counts, what it was made from, and how."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lengthen.common.process.errors import UserError
from lengthen.common.store.paths import Folder
from pydantic import ConfigDict, TypeAdapter, ValidationError

MANIFEST = ".manifest.json"


@dataclass(frozen=True)
class Part:
    __pydantic_config__ = ConfigDict(extra="forbid")

    path: str  # relative to the dataset's folder
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    __pydantic_config__ = ConfigDict(extra="forbid")

    table: str
    version: int
    parts: list[Part]
    rejected_parts: list[Part]
    rows_in: int
    rows_out: int
    rejected: dict[str, int]  # by reason
    content_digest: str  # of the rows in order of their ids, independent of the division into parts
    fingerprint: dict[str, Any]  # everything that decided the rows
    lineage: dict[str, Any]  # paths of inputs, adapter and model
    tokens: int  # generated, rejected attempts included
    summary: dict[str, Any] = field(default_factory=dict)  # the stage's figures, such as its mean words
    # When the dataset was finished; seconds, runs, lost tokens and tokens of unneeded attempts, over all runs if the stage was
    # stopped. `timings` and `environment` (versions, git revision, host) differ between two runs that make the same rows, and
    # `max_rejected_share` may; nothing else here does.
    timings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    max_rejected_share: float = 1.0  # that the run allowed; of a shard, it is checked when all shards are sealed
    format: Literal[1] = 1

    @property
    def seconds(self) -> float:
        return float(self.timings.get("seconds", 0.0))

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


_ADAPTER = TypeAdapter(Manifest)


def read_manifest(folder: Folder) -> Manifest | None:
    """A folder's manifest, or None when it has none: then it is not a complete dataset.

    Raises:
        UserError: the file can't be read or is not a valid manifest.
    """
    path = folder / MANIFEST
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} can't be read ({error}); make the dataset again") from error
    except ValidationError as error:
        problems = "; ".join(": ".join((*map(str, item["loc"]), item["msg"])) for item in error.errors(include_url=False))
        raise UserError(f"{path} is not a valid manifest ({problems}); make the dataset again") from error


_SHOWN = 5  # differences in a message


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two fingerprints, as `name: before -> now`; settings first, of many differences only the first five."""
    names = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
    names.sort(key=lambda name: (name.startswith("code."), name))
    found = [f"{name}: {_short(before.get(name))} -> {_short(now.get(name))}" for name in names[:_SHOWN]]
    return [*found, f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:18] + "…" + text[-18:]
