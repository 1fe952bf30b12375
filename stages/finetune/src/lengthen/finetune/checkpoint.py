"""Folders under `.work/checkpoints/` that exist whole or not at all, and are used only as they were written.

    step-000050/    weights, optimizer state and log after a step
    trained/        the finished adapter and its outcome: a training that has ended isn't repeated

Each is written in the writer's own scratch folder and moved into place by one rename, so a kill leaves no incomplete one, and
a writer that was taken over has nothing left to move. `complete.json`, written last, names every file's sha256 and the
plan it belongs to. There are no pickles: tensors are safetensors.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lengthen.common.process.progress import say
from lengthen.common.store.files import disk_errors, sync_folder, write_bytes
from lengthen.common.store.paths import file_digest

CHECKPOINTS, TRAINED = "checkpoints", "trained"
FORMAT = 3  # of the files in them; raise it with any change, and older ones are not used
_COMPLETE = "complete.json"
_NEWEST = 2  # how many are not removed: the newest could turn out to be damaged


def publish(draft: Path, target: Path, plan: str) -> None:
    """Move a finished folder into place; an older one there is replaced.

    Raises:
        FileNotFoundError: the scratch folder is gone: another writer took over.
        TransientError: the disk is full.
    """
    files = {file.name: file_digest(file) for file in sorted(draft.iterdir())}
    write_bytes(draft / _COMPLETE, json.dumps({"plan": plan, "files": files}, indent=1).encode())
    with disk_errors(target):
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            target.rename(draft.with_name(f"{target.name}.replaced"))
        draft.rename(target)
        sync_folder(target.parent)


def step_folder(checkpoints: Path, step: int) -> Path:
    return checkpoints / f"step-{step:06d}"


def newest_usable(checkpoints: Path, plan: str) -> Path | None:
    """The newest checkpoint of this plan whose files are as they were written; newer ones that can't be used are removed."""
    return next((folder for folder in reversed(_steps(checkpoints)) if is_usable(folder, plan)), None)


def is_usable(folder: Path, plan: str) -> bool:
    """Whether a folder exists, undamaged and of this plan. One that can't be used is removed, with a warning."""
    if not folder.exists():
        return False
    try:
        complete: dict[str, Any] = json.loads((folder / _COMPLETE).read_text())
        files = complete["files"]
        damaged = [name for name, sha256 in files.items() if file_digest(folder / name) != sha256]
    except (OSError, ValueError, KeyError, TypeError):
        damaged, complete = [_COMPLETE], {}
    if not damaged and complete["plan"] == plan:
        return True
    reason = f"{', '.join(damaged)} is damaged, missing or was changed" if damaged else "it belongs to other settings or rows"
    say(f"finetune: WARNING: checkpoint {folder} is not used: {reason}")
    shutil.rmtree(folder)
    return False


def prune(checkpoints: Path) -> None:
    """Remove all but the newest two."""
    for folder in _steps(checkpoints)[:-_NEWEST]:
        shutil.rmtree(folder, ignore_errors=True)


def _steps(checkpoints: Path) -> list[Path]:
    return sorted(checkpoints.glob("step-*"))
