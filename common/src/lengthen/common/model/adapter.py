"""Open a LoRA adapter that finetune wrote: check it against its manifest and base model, and download it if it is remote."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lengthen.common.model.folder import ModelFolder, refuse_pickles
from lengthen.common.process.errors import UserError
from lengthen.common.store.files import CACHE, cached_digest, rename_if_free
from lengthen.common.store.paths import Folder, is_inside, list_files
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables.definitions import ADAPTERS


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter's folder and the digest of its weights."""

    path: Path
    sha256: str

    @property
    def rank(self) -> int:
        """The largest rank of its modules."""
        settings = json.loads((self.path / "adapter_config.json").read_text())
        return int(max([settings["r"], *settings.get("rank_pattern", {}).values()]))


def open_adapter(folder: Folder, base: ModelFolder | None) -> Adapter:
    """The adapter in a folder that finetune wrote. `base` None: it is not checked against a base model.

    Raises:
        UserError: not a complete output of finetune, another base model, or weights with another digest.
    """
    row = next(open_dataset(folder, ADAPTERS).rows())
    if not is_inside(folder / row["path"], folder):
        raise UserError(f"{folder}: the adapter's path {row['path']} is outside the folder; train the adapter again")
    path = _local_copy(folder / row["path"], row["sha256"])
    if base and row["base_model"] != base.sha256:
        raise UserError(
            f"{folder}: this adapter was trained on base model {row['base_model'][:12]}, not on {base.name}; "
            "set model.path to its base model, or train an adapter for this model"
        )
    weights = path / "adapter_model.safetensors"
    if not weights.is_file():
        raise UserError(f"{weights} does not exist; train the adapter again")
    refuse_pickles(path)
    if cached_digest(weights) != row["sha256"]:
        raise UserError(f"{weights} is not the file that finetune wrote (sha256 differs); train the adapter again")
    return Adapter(path, row["sha256"])


def _local_copy(folder: Folder, sha256: str) -> Path:
    """A local folder with the adapter, for vLLM and PEFT. From an object store it is downloaded to the cache, once."""
    if isinstance(folder, Path):
        return folder.resolve()
    target = CACHE / "adapters" / sha256
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(dir=target.parent))
        for file in list_files(folder, "*"):
            (copy / file.name).write_bytes(file.read_bytes())
        if not rename_if_free(copy, target):  # another process made the same copy first
            shutil.rmtree(copy)
    return target
