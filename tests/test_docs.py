"""The documentation tells the truth: its links lead somewhere, and what it names is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "common/README.md", "k8s/README.md")]
PAGES += [*sorted(ROOT.glob("stages/*/README.md")), *sorted(ROOT.glob("docs/*.md"))]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
QUESTIONS = ("a draft is split", "growth is decided", "makes an answer refused", "becomes complete", "shard is chosen", "LoRA is set")


def links(page: Path) -> list[tuple[str, str]]:
    return LINK.findall(page.read_text())


def defined(file: Path) -> set[str]:
    """Every function, class, constant and field of a module, methods as `Class.method` too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)}
        if isinstance(node, ast.Assign | ast.AnnAssign):
            names |= {target.id for target in getattr(node, "targets", [getattr(node, "target", None)]) if isinstance(target, ast.Name)}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for text, target in links(page):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), f"[{text}]({target})"


def test_the_architecture_names_only_what_is_in_the_linked_file() -> None:
    page = ROOT / "docs" / "architecture.md"
    named = [(text.strip("`"), page.parent / target) for text, target in links(page) if text.startswith("`") and target.endswith(".py")]
    assert len(named) > 20
    assert not [(name, str(file)) for name, file in named if name not in defined(file)]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_newcomers_question_is_answered_with_a_symbol_that_exists(question: str) -> None:
    page = ROOT / "docs" / "architecture.md"
    section = page.read_text().partition("## Where is")[2].partition("\n## ")[0]
    [answer] = [item for item in section.split("\n- ") if question in " ".join(item.split())]
    found = LINK.findall(answer)
    assert found
    for text, target in found:
        assert text.strip("`") in defined(page.parent / target), f"{text} is not in {target}"


def test_the_picture_shows_the_layers_in_their_order() -> None:
    from test_structure import LAYERS

    picture = (ROOT / "docs" / "architecture.md").read_text().partition("```")[2].partition("```")[0]
    shown = [match[1] for line in picture.splitlines() if (match := re.match(r" {3}(\w+) {2,}\S", line)) and match[1] in LAYERS]
    assert shown == list(reversed(LAYERS))


def test_generated_files_are_up_to_date() -> None:
    subprocess.run([sys.executable, str(ROOT / "docs" / "generate.py"), "--check"], check=True)


def test_every_setting_is_described_where_it_is_defined() -> None:
    from lengthen.common.config.load import Config
    from pydantic import BaseModel

    def fields(section: type[BaseModel]) -> None:
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    fields(kind)

    fields(Config)


def test_an_old_settings_name_is_refused_with_the_new_one(tmp_path: Path) -> None:
    from lengthen.common.config.load import load_config
    from lengthen.common.config.renamed import REMOVED, RENAMED
    from lengthen.common.process.errors import UserError

    for old in [*RENAMED, *REMOVED]:
        value = "{url: http://localhost/v1, model: m}"
        parents = {"engine.endpoint.retries": f"engine.endpoint={value}", "evaluate.judge.retries": "evaluate.judge={model: self}"}
        overrides = [parents[old]] if old in parents else []
        with pytest.raises(
            UserError, match=re.escape(f"{old}: ") + ("renamed to " + re.escape(RENAMED[old]) if old in RENAMED else "removed")
        ):
            load_config(ROOT / "configs" / "smoke.yaml", [*overrides, f"{old}=1"])
    for new in RENAMED.values():
        assert f"`{new.rpartition('.')[2]}`" in (ROOT / "docs" / "configuration.md").read_text()
