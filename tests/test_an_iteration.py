"""All five stages with the real vLLM and DeepSpeed and a tiny model, run by make. Named to run first, because it takes the longest."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import tiny
from conftest import ROOT, rows
from lengthen.common.model.adapter import Adapter, open_adapter
from lengthen.common.model.folder import open_model


@pytest.mark.engine
def test_an_iteration_runs_with_the_real_engines_and_a_tiny_model(tmp_path: Path, model: Path) -> None:
    """The whole iteration and its table. The Makefile starts vLLM and DeepSpeed in separate processes."""
    config = tiny.write_config(tmp_path / "config.yaml", model)
    command = ["make", "iteration", f"CONFIG={config}", f"RUN={tmp_path / 'run'}"]
    environment = {**os.environ, "MAKEFLAGS": "", "COLUMNS": "140"}
    completed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert completed.returncode == 0, completed.stdout[-2000:] + completed.stderr[-6000:]
    assert "the generator writes" in completed.stdout
    here = tmp_path / "run" / "iter-01"
    for row in rows(here / "expansions", "expansions"):
        assert row["expansion_words"] > 1.2 * row["response_words"]
        assert set(row["expansion"].lower().replace(".", "").split()) <= {word.lower() for word in tiny.WORDS + tiny.STARTS}
    base = open_model(model)
    adapters = {role: open_adapter(here / role, base) for role in ("generator", "extender")}
    assert all(isinstance(adapter, Adapter) for adapter in adapters.values())
    assert {row["adapter"] for row in rows(here / "scores", "scores")} == {adapters["generator"].sha256}
    assert {row["adapter"] for row in rows(tmp_path / "run" / "iter-00" / "scores", "scores")} == {None}
    trained = rows(here / "extender", "adapters")[0]
    assert trained["steps"] > 0 and trained["train_loss"] > 0
    settings = json.loads((adapters["extender"].path / "adapter_config.json").read_text())
    assert settings["r"] == 8
