"""Fixtures and helpers for all tests: the tiny model, a stage's command line run in this process, and rows for each table."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from pathlib import Path
from typing import Any, TypeVar

import pytest
import tiny
from click.testing import CliRunner, Result
from lengthen.common.config.engine import Store
from lengthen.common.store.commit import Outcome
from lengthen.common.store.origin import Origin
from lengthen.common.store.paths import Folder, ObjectPath
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import ADAPTERS, TABLES
from lengthen.common.tables.schema import Table
from lengthen.common.text.digest import text_digest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
ROOT = Path(__file__).parent.parent
AnyFolder = TypeVar("AnyFolder", Path, ObjectPath)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def config(tmp_path: Path, model: Path) -> Path:
    return tiny.write_config(tmp_path / "config.yaml", model)


def run(stage: str, *arguments: object) -> Result:
    """Run `python -m lengthen.STAGE` in this process. An unexpected exception is raised."""
    module = f"lengthen.{stage}" if stage == "augment.demands" else f"lengthen.{stage}.__main__"
    main = importlib.import_module(module).main
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(stage: str, *arguments: object) -> Result:
    result = run(stage, *arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(stage: str, *arguments: object) -> str:
    """Run a stage that must end with exit code 2 and one error line on stderr; return that line."""
    result = run(stage, *arguments)
    lines = result.stderr.strip().splitlines()
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert lines[-1].startswith("error: ")
    return lines[-1]


def rows(folder: Folder, table: str) -> list[dict[str, Any]]:
    return list(open_dataset(folder, TABLES[table]).rows())


def write(folder: AnyFolder, table: Table, content: list[dict[str, Any]]) -> AnyFolder:
    """Write a complete dataset of these rows."""
    with DatasetWriter(folder, table, Origin({"test": True}), Store()) as writer:
        for row in content:
            writer.add(row)
        writer.commit(Outcome(len(content)))
    return folder


def write_fake_adapter(folder: AnyFolder, weights: bytes = b"weights") -> AnyFolder:
    """Write a complete adapter dataset whose weights no engine can load."""
    row = {
        "id": "0" * 32, "role": "generator", "base_model": "b", "path": ".adapter", "sha256": hashlib.sha256(weights).hexdigest(),
        "adapter_sha256_before": None, "rows": 1, "rejected_rows": 0, "tokens": 1, "steps": 1, "train_loss": 1.0, "eval_loss": None,
        "iteration": 1, "seed": 1,
    }  # fmt: skip
    with DatasetWriter(folder, ADAPTERS, Origin({}), Store()) as writer:
        with writer.placing(".adapter/adapter_model.safetensors") as temporary:
            temporary.write_bytes(weights)
        writer.add(row)
        writer.commit(Outcome(1))
    return folder


def instruction_row(number: int, text: str) -> dict[str, Any]:
    return {
        "id": f"{number:032x}", "instruction": text, "language": "en", "category": "", "source": "self_instruct", "parents": [],
        "suitability": 0.9, "attempts": 1, "tokens": 1, "digest": text_digest(text), "iteration": 1, "model": "test", "seed": 1,
    }  # fmt: skip


def expansion_row(number: int, response: str, expansion: str) -> dict[str, Any]:
    before, after = len(response.split()), len(expansion.split())
    return {
        "id": f"{number:032x}", "sample": 0, "finish_reason": "stop", "response_id": f"{number:032x}",
        "instruction_id": f"{number:032x}", "instruction": f"Write about subject {number}.", "language": "en",
        "response": response, "expansion": expansion, "trimmed": "", "response_words": before, "expansion_words": after,
        "growth": after / before, "kept_headings": None, "kept_names": None, "rounds": 1, "attempts": 1, "tokens": after,
        "digest": text_digest(expansion), "adapter": None, "iteration": 1, "model": "test", "seed": 1,
    }  # fmt: skip


def response_row(number: int, response: str) -> dict[str, Any]:
    return {
        "id": f"{number:032x}", "instruction_id": f"{number:032x}", "instruction": f"Write about subject {number}.",
        "language": "en", "response": response, "trimmed": "", "words": len(response.split()), "tokens": 1, "finish_reason": "stop",
        "attempts": 1, "sample": 0, "digest": text_digest(response), "adapter": None, "iteration": 1, "model": "test", "seed": 1,
    }  # fmt: skip


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file's size and modification time. A run of a complete stage must change neither."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


sys.path.insert(0, str(Path(__file__).parent))
