"""Bad input: exit code 2, one line with the problem, its location and the fix, and no dataset that looks complete."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from conftest import expansion_row, instruction_row, refused, response_row, rows, succeed, write
from lengthen.common.method.prompt_file import PromptFile
from lengthen.common.process.errors import UserError
from lengthen.common.store.files import file_digest
from lengthen.common.tables.definitions import EXPANSIONS, INSTRUCTIONS, RESPONSES

LONG = " ".join(f"river{n} stone{n} keeps." for n in range(60))


@pytest.fixture
def instructions(tmp_path: Path) -> Path:
    return write(tmp_path / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write an essay about subject {n}.") for n in range(4)])


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Path]:
    """An output folder that must not be a complete dataset after the test."""
    yield tmp_path / "output"
    assert not (tmp_path / "output" / ".manifest.json").exists()


def generate(config: Path, instructions: Path, output: Path, *more: object, engine: str = "echo") -> str:
    return refused("generate", "--config", config, "--input", instructions, "--output", output, "--engine", engine, *more)


def test_a_missing_input_folder_is_refused(config: Path, tmp_path: Path, output: Path) -> None:
    line = generate(config, tmp_path / "nowhere", output)
    assert "nowhere does not exist" in line and "run the stage" in line


def test_a_folder_without_a_manifest_is_refused(config: Path, instructions: Path, output: Path) -> None:
    (instructions / ".manifest.json").unlink()
    assert "no .manifest.json" in generate(config, instructions, output)


def test_a_manifest_that_is_not_json_is_refused(config: Path, instructions: Path, output: Path) -> None:
    (instructions / ".manifest.json").write_text("{")
    assert ".manifest.json is not a valid manifest" in generate(config, instructions, output)


def test_another_table_is_refused(config: Path, tmp_path: Path, output: Path) -> None:
    folder = write(tmp_path / "responses", RESPONSES, [response_row(1, LONG)])
    assert "contains responses, not instructions" in generate(config, folder, output)


def rewrite(folder: Path, change: object) -> None:
    """Replace a part of a dataset and update its digest and size in the manifest, so that only the schema check can find the change."""
    manifest = json.loads((folder / ".manifest.json").read_text())
    part = manifest["parts"][0]
    path = folder / part["path"]
    pq.write_table(change(pq.read_table(path)), path)  # type: ignore[operator]
    part |= {"bytes": path.stat().st_size, "sha256": file_digest(path)}
    (folder / ".manifest.json").write_text(json.dumps(manifest))


def test_a_missing_column_and_a_wrong_type_are_reported_together(config: Path, instructions: Path, output: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index("iteration")
        return table.drop_columns(["language"]).set_column(at - 1, "iteration", table["iteration"].cast(pa.string()))

    rewrite(instructions, change)
    line = generate(config, instructions, output)
    assert "column language is missing" in line and "column iteration is string, not int64" in line


def test_a_part_changed_after_the_commit_is_refused(config: Path, instructions: Path, output: Path) -> None:
    path = next(instructions.glob("part-*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "sha256 differs" in generate(config, instructions, output)


def test_a_part_missing_in_the_manifest_is_refused(config: Path, instructions: Path, output: Path) -> None:
    shutil.copy(next(instructions.glob("part-*.parquet")), instructions / "part-99999.parquet")
    assert "part-99999.parquet is not in the manifest" in generate(config, instructions, output)


def test_all_config_problems_are_reported_at_once(model: Path, tmp_path: Path, instructions: Path, output: Path) -> None:
    config = tiny.write_config(
        tmp_path / "bad.yaml", model, expand={"rouns": 3}, generate={"attempts": 0}, check={"max_repetition": "x"}, colour=1
    )
    line = generate(config, instructions, output)
    for part in ("expand.rouns: no such key", "generate.attempts", "check.max_repetition", "colour: no such key"):
        assert part in line


@pytest.mark.parametrize("setting", ["expand.rounds", "=3", "expand.rounds=many", "expand.nothing=1", "seed.inner=1"])
def test_an_invalid_override_is_refused(config: Path, instructions: Path, output: Path, setting: str) -> None:
    generate(config, instructions, output, "--set", "seed=1", "--set", setting)


@pytest.mark.parametrize("content", ["", "- a list", "a: [1", "\x00"])
def test_a_config_that_is_not_a_mapping_is_refused(tmp_path: Path, instructions: Path, output: Path, content: str) -> None:
    (tmp_path / "bad.yaml").write_text(content)
    generate(tmp_path / "bad.yaml", instructions, output)


def test_an_unknown_prompt_variable_is_refused() -> None:
    with pytest.raises(UserError, match=r"extend.en.txt: unknown variable \$title; known: \$draft"):
        PromptFile("Write $title from $draft", {"draft"}, "extend.en.txt")
    with pytest.raises(UserError, match=r"\$draft is missing in the text"):
        PromptFile("Write", {"draft"})
    assert PromptFile("$$5 for $draft", {"draft"}).fill(draft="$title {x}") == "$5 for $title {x}"


def test_a_missing_model_folder_is_refused(config: Path, instructions: Path, output: Path) -> None:
    line = generate(config, instructions, output, "--set", "model.path=no/model", engine="vllm")
    assert "no/model does not exist" in line and "make model" in line


def test_a_model_folder_with_only_pickles_is_refused(model: Path, config: Path, tmp_path: Path, instructions: Path, output: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(model, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    line = generate(config, instructions, output, "--set", f"model.path={folder}", engine="vllm")
    assert "pytorch_model.bin" in line and "safetensors" in line


def test_a_context_longer_than_the_models_limit_is_refused(config: Path, instructions: Path, output: Path) -> None:
    line = generate(config, instructions, output, "--set", "model.max_model_len=100000", engine="vllm")
    assert "100000 is more than" in line


def test_a_context_too_short_for_the_prompt_is_refused(config: Path, tmp_path: Path, output: Path) -> None:
    folder = write(tmp_path / "responses", RESPONSES, [response_row(1, LONG)])
    line = refused(
        "expand", "--config", config, "--input", folder, "--output", output, "--engine", "echo", "--set", "model.max_model_len=40"
    )
    assert "model.max_model_len: 40 is too short" in line


def test_rows_longer_than_the_context_are_rejected_one_by_one(config: Path, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "instructions", INSTRUCTIONS, [instruction_row(1, "Write an essay."), instruction_row(2, "Write about " + LONG)]
    )
    succeed(
        "generate",
        "--config",
        config,
        "--input",
        folder,
        "--output",
        tmp_path / "out",
        "--engine",
        "echo",
        "--set",
        "model.max_model_len=170",
        "--set",
        "echo.words=30",
    )
    manifest = json.loads((tmp_path / "out" / ".manifest.json").read_text())
    assert manifest["rejected"] == {"over_context": 2} and manifest["rows_out"] == 2


def expansions(tmp_path: Path, count: int = 6) -> Path:
    return write(tmp_path / "expansions", EXPANSIONS, [expansion_row(n, LONG[:300], LONG) for n in range(count)])


def finetune(config: Path, folder: Path, output: Path, *more: object) -> str:
    return refused("finetune", "--config", config, "--input", folder, "--output", output, "--role", "extender", *more)


def test_more_over_long_rows_than_allowed_are_refused(config: Path, tmp_path: Path, output: Path) -> None:
    line = finetune(config, expansions(tmp_path), output, "--set", "finetune.max_tokens_extender=100")
    assert "longer than finetune.max_tokens_extender (100)" in line


def test_without_training_rows_the_error_names_the_filters(config: Path, tmp_path: Path, output: Path) -> None:
    more = (
        "--set",
        "finetune.max_tokens_extender=100",
        "--set",
        "finetune.max_over_long_share=1.0",
        "--set",
        "finetune.length_biased_selection=false",
    )
    line = finetune(config, expansions(tmp_path), output, *more)
    assert "no row is left of 6 (over_long 6)" in line


def test_without_accepted_answers_the_error_names_the_filters(config: Path, instructions: Path, output: Path) -> None:
    line = generate(config, instructions, output, "--set", "check.min_words=5000")
    assert "no row is left of 8 (too_short 8)" in line


def test_more_rejected_rows_than_allowed_are_refused(config: Path, instructions: Path, output: Path) -> None:
    line = generate(
        config,
        instructions,
        output,
        "--set",
        "echo.cut_share=0.5",
        "--set",
        "generate.attempts=1",
        "--set",
        "generate.max_rejected_share=0.1",
    )
    assert "more than the allowed share 0.1 (unfinished" in line


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    config = tiny.write_config(folder / "config.yaml", model)
    data = write(folder / "expansions", EXPANSIONS, [expansion_row(n, LONG[:300], LONG) for n in range(4)])
    succeed("finetune", "--config", config, "--input", data, "--output", folder / "generator", "--role", "generator")
    return folder / "generator"


def test_an_adapter_of_another_base_model_is_refused(adapter: Path, tmp_path: Path, config: Path, instructions: Path, output: Path) -> None:
    other = tiny.build(tmp_path / "other", seed=1)
    line = generate(config, instructions, output, "--adapter", adapter, "--set", f"model.path={other}", engine="vllm")
    assert "trained on base model" in line and "other@" in line


def test_an_adapter_with_changed_weights_is_refused(adapter: Path, tmp_path: Path, config: Path, instructions: Path, output: Path) -> None:
    shutil.copytree(adapter, tmp_path / "changed")
    with open(tmp_path / "changed" / ".adapter" / "adapter_model.safetensors", "ab") as file:
        file.write(b"x")
    line = generate(config, instructions, output, "--adapter", tmp_path / "changed", engine="vllm")
    assert "adapter_model.safetensors is not the file that finetune wrote" in line


def test_an_adapter_of_another_rank_cannot_be_trained_further(adapter: Path, config: Path, tmp_path: Path, output: Path) -> None:
    line = finetune(config, expansions(tmp_path), output, "--adapter", adapter, "--set", "finetune.lora.r=4")
    assert "r 4" in line


def test_a_dataset_made_with_other_settings_is_refused_and_named(config: Path, instructions: Path, tmp_path: Path) -> None:
    arguments = ("--config", config, "--input", instructions, "--output", tmp_path / "out", "--engine", "echo")
    succeed("generate", *arguments)
    before = rows(tmp_path / "out", "responses")
    line = refused("generate", *arguments, "--set", "generate.attempts=7")
    assert "generate.attempts: 4 -> 7" in line and "--overwrite" in line
    assert rows(tmp_path / "out", "responses") == before
    assert "already complete" in succeed("generate", *arguments, "--set", "engine.rows_in_flight=2", "--set", "store.flush_rows=1").stderr
    succeed("generate", *arguments, "--set", "generate.attempts=7", "--overwrite")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not a valid JSON object"),
        ('{"id": "a", "language": "en", "kind": "about", "length": [1, 2], "prompt": "x"}', "a range has a length"),
        ('{"id": "a", "language": "fr", "kind": "near", "length": 5, "prompt": "x"}', "language"),
        ("", "has no prompts"),
    ],
)
def test_an_invalid_benchmark_is_refused(config: Path, tmp_path: Path, output: Path, line: str, problem: str) -> None:
    (tmp_path / "bench.jsonl").write_text(line)
    assert problem in refused(
        "evaluate", "--config", config, "--output", output, "--engine", "echo", "--benchmark", tmp_path / "bench.jsonl"
    )


def test_invalid_seeds_are_refused(config: Path, tmp_path: Path, output: Path) -> None:
    (tmp_path / "seeds.jsonl").write_text('{"id": "a"}')
    line = refused("augment", "--config", config, "--output", output, "--engine", "echo", "--seeds", tmp_path / "seeds.jsonl")
    assert "seeds.jsonl, line 1" in line


def test_a_dry_run_writes_nothing(config: Path, instructions: Path, tmp_path: Path) -> None:
    result = succeed("generate", "--config", config, "--input", instructions, "--output", tmp_path / "out", "--engine", "echo", "--dry-run")
    assert "rows 8" in result.stderr and not (tmp_path / "out").exists()
