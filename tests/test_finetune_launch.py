"""How a training ended: what its ranks left behind counts, not what torchrun makes of their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lengthen.common.process.errors import EXIT_SIGTERM, Stopped, TransientError, UserError
from lengthen.finetune import launch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def train_and_abort(folder: Path, monkeypatch: pytest.MonkeyPatch, outcome: dict[str, Any] | None) -> None:
    """A training of two ranks under the real torchrun, each of which leaves this outcome, if any, and then falls over."""
    program = folder.with_name("program.py")
    leave = f"(Path(sys.argv[1]) / 'outcome.json').write_text({json.dumps(outcome)!r})" if outcome else ""
    program.write_text(f"import os, sys\nfrom pathlib import Path\n{leave}\nos.abort()\n")
    monkeypatch.setattr(launch, "_PROGRAM", [str(program)])
    launch.train(folder, processes=2)


def test_a_training_that_is_done_is_done_however_its_ranks_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that are taken down at the end of a process abort it at times."""
    train_and_abort(folder, monkeypatch, {"steps": 3})


def test_ranks_that_say_nothing_are_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TransientError, match="before it could say why"):
        train_and_abort(folder, monkeypatch, None)


def test_what_the_user_can_mend_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="loss is nan"):
        train_and_abort(folder, monkeypatch, {"error": "loss is nan"})


def test_a_stop_on_another_machine_is_a_stop_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stopped) as stopped:
        train_and_abort(folder, monkeypatch, {"stopped": 2})
    assert stopped.value.exit_code == EXIT_SIGTERM
