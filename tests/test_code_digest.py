"""The code and data that make rows are part of the fingerprint, found by following imports; what only shows or stores them isn't."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from conftest import ROOT, instruction_row, refused, response_row, succeed, write
from lengthen.common.stage import code_digest
from lengthen.common.stage.code_digest import code_digests
from lengthen.common.store.manifest import differences
from lengthen.common.tables.definitions import INSTRUCTIONS, RESPONSES

COMMON = ROOT / "common/src/lengthen/common"
LONG = " ".join(f"river{n} stone{n} keeps." for n in range(20))
# Where the search begins, by stage: independent of the stages' own recipes, which the end-to-end tests below use.
ROOTS = {
    "augment": ["lengthen.augment.stage"],
    "demands": ["lengthen.augment.release.dataset"],
    "generate": ["lengthen.generate.stage"],
    "expand": ["lengthen.expand.stage"],
    "finetune": ["lengthen.finetune.stage", "lengthen.finetune.train"],
    "evaluate": ["lengthen.evaluate.stage"],
}


def changing(monkeypatch: pytest.MonkeyPatch, file: Path, change: Callable[[str], str]) -> None:
    """From now on the digest sees a changed file; the program that runs is the old one."""
    old = file.read_text(encoding="utf-8")
    new = change(old)
    assert new != old, f"nothing to change in {file}"
    monkeypatch.setattr(code_digest, "_read", lambda path: new.encode() if path.resolve() == file.resolve() else path.read_bytes())


def replacing(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """Complete datasets of generate and expand."""
    folder = tmp_path_factory.mktemp("digest")
    tiny.write_config(folder / "config.yaml", model)
    write(folder / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write about subject {n}.") for n in range(2)])
    write(folder / "responses", RESPONSES, [response_row(n, LONG) for n in range(4)])
    for stage in ("generate", "expand"):
        succeed(stage, *command(folder, stage))
    return folder


def command(folder: Path, stage: str) -> list[str]:
    source = {"generate": "instructions", "expand": "responses"}[stage]
    return ["--config", f"{folder}/config.yaml", "--engine", "echo", "--input", f"{folder}/{source}", "--output", f"{folder}/{stage}"]


DECIDING = {
    "a phrase": ("expand", COMMON / "text/phrases/meta_talk.en.txt", replacing("language model", "machine")),
    "a word of a prompt": ("expand", COMMON / "method/extend/prompts/extend.en.txt", replacing("the", "a")),
    "a constant of the check": ("generate", COMMON / "text/check.py", replacing("GIVE_UP_FACTOR = 4", "GIVE_UP_FACTOR = 5")),
    "a condition of the method": ("expand", ROOT / "stages/expand/src/lengthen/expand/lengthen.py",
                                  replacing("> settings.min_growth", ">= settings.min_growth")),
    "a row that no prompt can hold": ("generate", COMMON / "method/row_check.py", replacing("= 100", "= 50")),
    "the echo engine, where it wrote": ("generate", COMMON / "engine/echo.py", replacing('"ba"', '"bo"')),
    "a list of languages": ("generate", COMMON / "text/languages.py", replacing("ngram=10", "ngram=11")),
}  # fmt: skip


@pytest.mark.parametrize("name", DECIDING)
def test_what_decides_rows_is_refused_and_the_file_is_named(complete: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    stage, file, change = DECIDING[name]
    changing(monkeypatch, file, change)
    assert f"(code.{file.relative_to(file.parents[[p.name for p in file.parents].index('lengthen')])}: " in refused(
        stage, *command(complete, stage)
    )


NOT_DECIDING = {
    "a comment": ("generate", COMMON / "text/check.py", replacing("GIVE_UP_FACTOR = 4  #", "GIVE_UP_FACTOR = 4  # Really:")),
    "a docstring": ("generate", COMMON / "text/check.py", replacing('"""The check of', '"""A check of')),
    "a type annotation": ("generate", COMMON / "text/words.py", replacing("def count_words(text: str)", "def count_words(text: object)")),
    "a progress text": ("generate", COMMON / "process/progress.py", replacing("rows, ", "lines, ")),
    "what a stage says": ("expand", ROOT / "stages/expand/src/lengthen/expand/stage.py",
                          replacing("    settings, dataset =", "    say(\"I begin\")\n    settings, dataset =")),
    "the store": ("generate", COMMON / "store/journal.py", replacing("flush_seconds * 3 / 4", "flush_seconds / 2")),
    "a figure of the manifest": ("generate", ROOT / "stages/generate/src/lengthen/generate/figures.py",
                                 replacing("yield_figures(words", "yield_figures(attempts")),
    "the frame": ("generate", COMMON / "stage/run.py", replacing("MIN_ANSWER_TOKENS = 32", "MIN_ANSWER_TOKENS = 33")),
    "the message of an error": ("generate", COMMON / "method/prompt_file.py", replacing("has no prompt file", "lacks a prompt file")),
    "a comment among phrases": ("generate", COMMON / "text/phrases/meta_talk.en.txt", replacing("# Speaking as a model", "# As a model")),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_DECIDING)
def test_what_only_shows_or_stores_rows_is_no_difference(complete: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    stage, file, change = NOT_DECIDING[name]
    changing(monkeypatch, file, change)
    assert "already complete" in succeed(stage, *command(complete, stage)).stderr


def test_deepspeeds_settings_and_the_training_program_decide_an_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digests(ROOTS["finetune"])
    assert {f"code.finetune/{name}.py" for name in ("loop", "loss", "lora", "batches", "schedule", "examples")} <= before.keys()
    file = ROOT / "stages/finetune/src/lengthen/finetune/deepspeed/zero2.json"
    changing(monkeypatch, file, replacing("50000000", "60000000"))
    after = code_digests(ROOTS["finetune"])
    assert {name for name in before if before[name] != after[name]} == {"code.finetune/deepspeed/zero2.json"}


def test_every_data_file_belongs_to_some_stages_fingerprint() -> None:
    """A new prompt, phrase or seed file can't be forgotten: all of them are found, by glob, in a digest."""
    digested = {name.removeprefix("code.") for roots in ROOTS.values() for name in code_digests(roots)}
    found = [*ROOT.glob("common/src/lengthen/*/**/*"), *ROOT.glob("stages/*/src/lengthen/*/**/*")]
    data = {str(file).partition("/lengthen/")[2] for file in found if file.is_file() and file.suffix not in (".py", ".pyc", ".typed")}
    shown = {name for name in data if name.startswith("evaluate/report/") or "/cards/" in name}  # pages and cards show rows
    assert len(data - shown) > 20
    assert data - shown <= digested


def test_every_module_of_the_method_belongs_to_some_stages_fingerprint() -> None:
    """Modules outside `EXCLUDED` that no stage reaches are commands and pages that come after the rows: named here."""
    digested = {name.removeprefix("code.") for roots in ROOTS.values() for name in code_digests(roots)}
    method = [*COMMON.glob("text/**/*.py"), *COMMON.glob("method/**/*.py"), *ROOT.glob("stages/*/src/lengthen/*/**/*.py")]
    names = {str(file).partition("/lengthen/")[2] for file in method if file.name not in ("__init__.py", "__main__.py")}
    after = {"augment/demands.py", "augment/release/card.py", "augment/release/export.py", "augment/release/push.py", "evaluate/compare.py",
             "evaluate/summary.py", "finetune/embedded.py", "finetune/encoder.py", "finetune/fetch.py", "finetune/merge.py",
                 "finetune/torchrun.py", "generate/check_texts.py"}  # fmt: skip
    after |= {name for name in names if name.startswith("evaluate/report/")}
    assert names - after <= digested, "a module that no stage's search reaches"


def test_a_module_is_found_wherever_it_is_imported(tmp_path: Path) -> None:
    """Inside a function, by either form of import, and through other modules."""
    found = code_digests(["lengthen.finetune.stage"])
    assert "code.common/method/extend/prompt.py" in found  # by examples, which rows imports
    assert "code.evaluate/judge/judging.py" in code_digests(["lengthen.evaluate.stage"])
    assert not [name for name in found if name.startswith("code.common/store/")]


def test_files_of_editors_and_systems_are_no_data(tmp_path: Path) -> None:
    (tmp_path / ".folder").mkdir()
    for name in ("extend.en.txt", ".extend.en.txt.swp", "extend.en.txt~", ".DS_Store", ".folder/x.txt", "module.py"):
        (tmp_path / name).write_text("x")
    assert [file.name for file in code_digest.data_files(tmp_path)] == ["extend.en.txt"]


def test_of_many_differences_the_settings_are_named_and_the_rest_is_counted() -> None:
    code = {f"code.common/text/{n}.py": "0" for n in range(30)}
    changed = differences(code | {"seed": 1, "zone": "a"}, dict.fromkeys(code, "1") | {"seed": 2, "zone": "b"})
    assert changed[:3] == ["seed: 1 -> 2", 'zone: "a" -> "b"', 'code.common/text/0.py: "0" -> "1"']
    assert changed[-1] == "and 27 more" and len(changed) == 6


def test_the_digest_reads_statements_not_layout() -> None:
    one = b'def f(a: int) -> int:\n    """Doc."""\n    # why\n    return a + 1\n'
    same = b"def f(a):\n    return (a +\n            1)\n"
    other = b"def f(a):\n    return a + 2\n"
    digest = code_digest._code_digest
    assert digest(one, ()) == digest(same, ()) != digest(other, ())
    assert digest(b'def f():\n    raise ValueError("a")\n', ()) == digest(b'def f():\n    raise ValueError("b")\n', ())
    assert digest(b'say("a")\nx = 1\n', ()) == digest(b'say("b")\nx = 1\n', ()) != digest(b'say("a")\nx = 2\n', ())
