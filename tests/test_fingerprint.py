"""A setting that decides rows is refused for an existing dataset, and named. Any other setting may change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import expansion_row, instruction_row, refused, response_row, succeed, write, write_fake_adapter
from lengthen.common.config.load import Config, load_config
from lengthen.common.tables.definitions import INSTRUCTIONS, RESPONSES

LONG = " ".join(f"river{n} stone{n} keeps." for n in range(20))
# The sections of the config that decide a stage's rows, besides the seed, the languages and the model.
SECTIONS = {"augment": ["augment"], "generate": ["generate", "check"], "expand": ["expand", "check"], "evaluate": ["evaluate"]}
STOPPING = {"augment.max_rejected_share", "generate.max_rejected_share", "expand.max_rejected_share"}
LITERAL = {"model.dtype": "float16", "expand.target_growth": 3.0, "engine.endpoint": "{url: http://localhost/v1, model: m}",
           "evaluate.lengths": [[10, 20], [20, 30], [30, 40]], "evaluate.ruler": [7]}  # fmt: skip


@pytest.fixture(scope="module")
def complete_run(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A folder with a complete dataset of each stage."""
    folder = tmp_path_factory.mktemp("fingerprint")
    tiny.write_config(folder / "config.yaml", model)
    write(folder / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write about subject {n}.") for n in range(2)])
    write(folder / "responses", RESPONSES, [response_row(n, LONG) for n in range(4)])
    for stage in SECTIONS:
        succeed(stage, *command(folder, stage))
    return folder


def command(folder: Path, stage: str) -> list[str]:
    source = {"generate": ["--input", f"{folder}/instructions"], "expand": ["--input", f"{folder}/responses"]}.get(stage, [])
    return ["--config", f"{folder}/config.yaml", "--engine", "echo", *source, "--output", f"{folder}/{stage}"]


def leaves(config: Config, section: str) -> Iterator[tuple[str, Any]]:
    def walk(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from walk(f"{prefix}.{name}", inner)
        else:
            yield prefix, value

    yield from walk(section, getattr(config, section).model_dump(mode="json"))


def other(name: str, value: Any) -> Any:
    """Another valid value."""
    if name in LITERAL:
        return LITERAL[name]
    if isinstance(value, bool):
        return str(not value).lower()
    return value + 1 if isinstance(value, int) else value * 0.95 if value else 0.05


def settings(folder: Path, sections: list[str]) -> list[tuple[str, Any]]:
    config = load_config(folder / "config.yaml")
    return [(name, other(name, value)) for section in sections for name, value in leaves(config, section) if name != "evaluate.judge"]


@pytest.mark.parametrize("stage", SECTIONS)
def test_every_setting_that_decides_rows_is_refused_and_named(complete_run: Path, stage: str) -> None:
    found = [*settings(complete_run, [*SECTIONS[stage], "echo"]), ("seed", 5), ("model.dtype", "float16"), ("model.max_model_len", 200)]
    assert len(found) > 10
    for name, value in found:
        if name not in STOPPING:
            line = refused(stage, *command(complete_run, stage), "--set", f"{name}={value}")
            assert f"is complete with other settings ({name}: " in line, (name, line)


@pytest.mark.parametrize("stage", SECTIONS)
def test_settings_that_decide_no_rows_may_change(complete_run: Path, stage: str) -> None:
    others = [section for section in ("augment", "generate", "expand", "finetune") if section not in SECTIONS[stage]]
    found = settings(complete_run, ["engine", "store"]) + [(name, 0.5) for name in STOPPING]
    found += [(f"{section}.length_biased_selection", "false") for section in others if section in ("expand", "finetune")]
    assert len(found) > 10
    for name, value in found:
        assert "already complete" in succeed(stage, *command(complete_run, stage), "--set", f"{name}={value}").stderr, name


def test_another_input_is_refused_and_named(complete_run: Path, tmp_path: Path) -> None:
    write(tmp_path / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write about theme {n}.") for n in range(2)])
    arguments = command(complete_run, "generate")
    arguments[arguments.index("--input") + 1] = str(tmp_path / "instructions")
    assert "(input.instructions: " in refused("generate", *arguments)


def test_the_same_rows_in_another_folder_are_the_same_input(complete_run: Path, tmp_path: Path) -> None:
    write(tmp_path / "moved", INSTRUCTIONS, [instruction_row(n, f"Write about subject {n}.") for n in range(2)])
    arguments = command(complete_run, "generate")
    arguments[arguments.index("--input") + 1] = str(tmp_path / "moved")
    assert "already complete" in succeed("generate", *arguments).stderr


def test_another_adapter_is_refused_and_named(complete_run: Path, tmp_path: Path) -> None:
    for stage in ("generate", "expand"):
        assert "(adapter: null -> " in refused(stage, *command(complete_run, stage), "--adapter", write_fake_adapter(tmp_path / stage))


def test_a_stopped_dataset_resumes_with_a_higher_limit_on_rejected_rows(complete_run: Path, tmp_path: Path) -> None:
    """The message of the stopped run is: raise max_rejected_share."""
    arguments = [*command(complete_run, "generate")[:-1], str(tmp_path / "out"), "--set", "generate.responses=20"]
    arguments += ["--set", "echo.cut_share=0.5", "--set", "generate.attempts=1"]
    assert "raise max_rejected_share" in refused("generate", *arguments, "--set", "generate.max_rejected_share=0.01")
    succeed("generate", *arguments, "--set", "generate.max_rejected_share=0.9")


def test_expansions_of_another_version_are_refused(complete_run: Path, tmp_path: Path) -> None:
    from lengthen.common.tables.definitions import EXPANSIONS

    folder = write(tmp_path / "expansions", EXPANSIONS, [expansion_row(1, LONG, LONG)])
    manifest = folder / ".manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"version": {EXPANSIONS.version}', '"version": 99'))
    line = refused(
        "finetune", "--config", f"{complete_run}/config.yaml", "--input", folder, "--output", tmp_path / "g", "--role", "generator"
    )
    assert "expansions version 99, this program reads" in line
