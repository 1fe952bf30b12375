"""The structure of the source: imports go one way, nothing lies loose, files and functions stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

STAGES = ("augment", "generate", "expand", "finetune", "evaluate")
# The subpackages of `common`, from the ground up: each imports only from those before it.
LAYERS = ("process", "text", "tables", "config", "store", "model", "engine", "method", "stage", "dataset")
# Longer than 200 lines, each for a reason that its docstring gives or its subject has.
LONG_FILES = {"common/engine/vllm_engine.py"}
PACKAGES = {"common": ROOT / "common", "k8s": ROOT / "k8s", **{stage: ROOT / "stages" / stage for stage in STAGES}}


def modules(package: str) -> list[Path]:
    return sorted((PACKAGES[package] / "src" / "lengthen" / package).rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """Modules of ours that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lengthen."):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("lengthen."))


def lines(files: list[Path]) -> int:
    return sum(len(file.read_text().splitlines()) for file in files)


def test_the_layers_are_the_subpackages_of_common() -> None:
    folder = PACKAGES["common"] / "src/lengthen/common"
    assert {path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_in_common_go_down(layer: str) -> None:
    below = LAYERS[: LAYERS.index(layer) + 1]
    for file in modules("common"):
        if file.parts[file.parts.index("common", file.parts.index("src")) + 1] == layer:
            known = ("lengthen.common", *(f"lengthen.common.{name}" for name in below))
            wrong = [name for name in imports(file) if ".".join(name.split(".")[:3]) not in known]
            assert not wrong, f"{file} imports {wrong}"


@pytest.mark.parametrize("stage", STAGES)
def test_stages_know_common_and_never_each_other(stage: str) -> None:
    for file in modules(stage):
        others = {name.split(".")[1] for name in imports(file)} - {"common", stage}
        assert not others, f"{file} imports {others}"


def test_no_module_lies_loose_at_the_top_of_common() -> None:
    folder = PACKAGES["common"] / "src/lengthen/common"
    assert [path.name for path in folder.glob("*.py")] == ["__init__.py"]


def test_packages_have_no_code_of_their_own() -> None:
    """Only a docstring, and the version: the digest of the code (common/stage/code_digest.py) does not read `__init__.py`."""
    for file in (file for package in PACKAGES for file in modules(package) if file.name == "__init__.py"):
        statements = ast.parse(file.read_text()).body
        allowed = {"__version__"} if file.parent == PACKAGES["common"] / "src/lengthen/common" else set()
        for node in statements[1 if ast.get_docstring(ast.Module(statements, [])) else 0 :]:
            named = {ast.unparse(target) for target in node.targets} if isinstance(node, ast.Assign) else {ast.unparse(node)}
            assert named <= allowed, f"{file}: {ast.unparse(node)}"


def test_common_does_not_grow_beyond_46_percent_of_the_source() -> None:
    """It was 45 % before it had layers, and 43 before vLLM had its own sampling and kernels on a CPU and the check told talk, chats,
    code, formulas and tables from prose, for generate, expand and evaluate alike. The goal of 35 % is not reached: every module left
    in it serves two packages or more."""
    assert lines(modules("common")) <= 0.46 * sum(lines(modules(package)) for package in PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_files_have_at_most_200_lines_and_functions_50(package: str) -> None:
    for file in modules(package):
        name = str(file).partition("/lengthen/")[2]
        assert (lines([file]) <= 200) != (name in LONG_FILES), f"{name} has {lines([file])} lines"
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, f"{name}: {node.name}"
