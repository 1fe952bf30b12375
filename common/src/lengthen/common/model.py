"""Model and adapter folders: what they are, by digest, and that they are safe to load (safetensors only)."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lengthen.common.engine.protocol import Adapter
from lengthen.common.errors import UserError
from lengthen.common.store.files import CACHE, cached_digest, rename_if_free
from lengthen.common.store.place import Folder, found, is_inside
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables import ADAPTERS

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.pickle")
_DECIDING = ("*.safetensors", "config.json", "generation_config.json", "tokenizer*", "chat_template*", "vocab*", "merges.txt", "*.model")


@dataclass(frozen=True)
class ModelFolder:
    path: Path
    sha256: str  # over the weights, the configuration, the tokenizer and the chat template

    @property
    def name(self) -> str:
        """How rows name the model: the folder's name and the beginning of its digest."""
        return f"{self.path.name}@{self.sha256[:12]}"


def open_model(path: Path) -> ModelFolder:
    """Check a model folder and digest it (remembered until a file changes).

    Raises:
        UserError: no such folder, no config.json, or weights that are not safetensors.
    """
    if not path.is_dir():
        raise UserError(f"model.path: {path} does not exist; run `make model` for the embedded model, or name a local model folder")
    if not (path / "config.json").is_file():
        raise UserError(f"model.path: {path} has no config.json; name a folder in the transformers format")
    refuse_pickles(path)
    if not any(path.glob("*.safetensors")):
        raise UserError(f"model.path: {path} holds no *.safetensors; save the model in safetensors format")
    files = sorted({file for pattern in _DECIDING for file in path.glob(pattern)})
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0{cached_digest(file)}\n".encode())
    return ModelFolder(path, total.hexdigest())


def refuse_pickles(path: Path) -> None:
    """Loading a pickle runs whatever it says.

    Raises:
        UserError: the folder holds one.
    """
    if found := sorted(file.name for pattern in _PICKLES for file in path.glob(pattern)):
        raise UserError(f"{path} holds pickles ({', '.join(found[:3])}); only safetensors are loaded: convert them, or move them away")


def open_adapter(folder: Folder, base: ModelFolder | None) -> Adapter:
    """The adapter that finetune wrote to a folder, checked against the manifest and the base model (None: no model at all).

    Raises:
        UserError: no complete finetune output, another base model, or weights that aren't the ones described.
    """
    row = next(open_dataset(folder, ADAPTERS).rows())
    if not is_inside(folder / row["path"], folder):
        raise UserError(f"{folder}: the adapter's path {row['path']} leads out of the folder; refused")
    path = _on_disk(folder / row["path"], row["sha256"])
    if base and row["base_model"] != base.sha256:
        raise UserError(
            f"{folder}: this adapter was trained on base model {row['base_model'][:12]}, not on {base.name}; "
            "set model.path to its base, or train an adapter for this one"
        )
    weights = path / "adapter_model.safetensors"
    if not weights.is_file():
        raise UserError(f"{weights} is missing; make the adapter again")
    refuse_pickles(path)
    if cached_digest(weights) != row["sha256"]:
        raise UserError(f"{weights} is not the file that finetune wrote (sha256 differs); make the adapter again")
    return Adapter(path, row["sha256"])


def _on_disk(folder: Folder, sha256: str) -> Path:
    """The adapter's folder on this machine: vLLM and PEFT read from disk. From an object store it is copied to the cache, once."""
    if isinstance(folder, Path):
        return folder.resolve()
    target = CACHE / "adapters" / sha256
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(dir=target.parent))
        for file in found(folder, "*"):
            (copy / file.name).write_bytes(file.read_bytes())
        if not rename_if_free(copy, target):  # another process was faster: its copy is the same
            shutil.rmtree(copy)
    return target


def context_limit(path: Path) -> int | None:
    """The longest context a model was made for, in tokens, where its configuration says."""
    limit = json.loads((path / "config.json").read_text()).get("max_position_embeddings")
    return int(limit) if limit else None
