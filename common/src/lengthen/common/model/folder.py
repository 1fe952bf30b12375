"""Model folders: their digests, and the check that they are safe to load (safetensors only)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from lengthen.common.process.errors import UserError
from lengthen.common.store.files import cached_digest

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.pickle")
_DIGESTED = ("*.safetensors", "config.json", "generation_config.json", "tokenizer*", "chat_template*", "vocab*", "merges.txt", "*.model")


@dataclass(frozen=True)
class ModelFolder:
    path: Path
    sha256: str  # over the weights, the configuration, the tokenizer and the chat template

    @property
    def name(self) -> str:
        """The model's name in rows: the folder's name and the beginning of its digest."""
        return f"{self.path.name}@{self.sha256[:12]}"


def open_model(path: Path) -> ModelFolder:
    """Check a model folder and compute its digest (cached until a file changes).

    Raises:
        UserError: no such folder, no config.json, or weights that are not safetensors.
    """
    if not path.is_dir():
        raise UserError(f"model.path: {path} does not exist; run `make model` for the embedded model, or set a local model folder")
    if not (path / "config.json").is_file():
        raise UserError(f"model.path: {path} has no config.json; set a folder in the Transformers format")
    refuse_pickles(path)
    if not any(path.glob("*.safetensors")):
        raise UserError(f"model.path: {path} has no *.safetensors files; save the model in safetensors format")
    files = sorted({file for pattern in _DIGESTED for file in path.glob(pattern)})
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0{cached_digest(file)}\n".encode())
    return ModelFolder(path, total.hexdigest())


def refuse_pickles(path: Path) -> None:
    """Loading a pickle file can run arbitrary code.

    Raises:
        UserError: the folder contains one.
    """
    if pickles := sorted(file.name for pattern in _PICKLES for file in path.glob(pattern)):
        raise UserError(
            f"{path} contains pickle files ({', '.join(pickles[:3])}), which can run code; convert them to safetensors, or remove them"
        )


def context_limit(path: Path) -> int | None:
    """The model's maximum context length in tokens (`max_position_embeddings`), or None if its configuration has none."""
    limit = json.loads((path / "config.json").read_text()).get("max_position_embeddings")
    return int(limit) if limit else None
