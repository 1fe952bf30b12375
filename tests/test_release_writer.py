"""The writer: its training data, and its comparison with the base model and the generator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from conftest import refused, succeed, write
from lengthen.common.config.load import Config, load_config
from lengthen.common.engine.chat import Chat
from lengthen.common.engine.protocol import Prompt
from lengthen.common.stage.job import Job
from lengthen.common.store.origin import Origin
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import ADAPTERS, DATASET
from lengthen.finetune.rows import TokenRows, encode_rows
from lengthen.finetune.token_file import map_table
from score_datasets import write_scores
from test_release_export import dataset_row

HEAVY = {"torch", "vllm", "transformers", "deepspeed", "datasets", "huggingface_hub", "pyarrow", "pydantic", "numpy"}


def release(folder: Path, split: str | None = None) -> Path:
    rows = [dataset_row(number) | {"model": "tiny"} for number in range(20)]
    return write(folder, DATASET, [row | ({"split": split} if split else {}) for row in rows])


def encoded(data: Path, config: Config, output: Path) -> TokenRows:
    job = Job("finetune", config, output, 1, "")
    with DatasetWriter(output, ADAPTERS, Origin({}), config.store) as writer:
        return encode_rows(job, [open_dataset(data, DATASET)], "writer", writer)


def test_the_writer_is_trained_only_on_queries_and_answers_of_the_train_split(tmp_path: Path, config: Path, model: Path) -> None:
    data, settings = release(tmp_path / "d"), load_config(config)
    job = Job("finetune", settings, tmp_path / "w", 1, "")
    with DatasetWriter(tmp_path / "w", ADAPTERS, Origin({}), settings.store) as writer:
        found = encode_rows(job, [open_dataset(data, DATASET)], "writer", writer)
        assert found.validation is not None
        ids = [set(map_table(path).column("id").to_pylist()) for path in (found.train, found.validation)]
        first = map_table(found.train).to_pylist()[0]
    rows = {row["id"]: row for row in open_dataset(data, DATASET).rows()}
    assert ids == [{name for name, row in rows.items() if row["split"] == split} for split in ("train", "test")]
    prompt, answer = Chat(model).encode_example(Prompt(rows[first["id"]]["query"]), rows[first["id"]]["response"])
    assert first["input_ids"] == prompt + answer
    assert first["prompt_tokens"] == len(prompt)


def test_a_writer_is_never_trained_on_the_test_split_even_without_other_rows(tmp_path: Path, config: Path) -> None:
    assert encoded(release(tmp_path / "d", "test"), load_config(config), tmp_path / "w").rows == 0


def test_each_role_needs_its_own_table(tmp_path: Path, config: Path) -> None:
    data, common = release(tmp_path / "d"), ("--config", config, "--output", tmp_path / "w", "--dry-run")
    assert "role writer" in succeed("finetune", *common, "--input", data, "--role", "writer").output
    assert "contains dataset, not expansions" in refused("finetune", *common, "--input", data, "--role", "generator")
    assert "the writer learns one release" in refused("finetune", *common, "--input", data, "--input", data, "--role", "writer")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    write_scores(run / "iter-00" / "scores", [100] * 8, [0.2] * 8)
    write_scores(run / "iter-02" / "scores", [150] * 8, [0.3] * 8)
    write_scores(run / "release-02" / "scores", [200, 220] * 4, [0.5, 0.7] * 4)
    return run


def test_the_writer_is_compared_with_base_and_generator(run: Path) -> None:
    from lengthen.evaluate.summary import writer_comparisons

    sentences = writer_comparisons(run, 2, run / "release-02")
    assert len(sentences) == 4
    assert sentences[0].startswith("writer: length score 0.600, the base model 0.200: +0.400 (95 % interval +0.3")
    assert sentences[1].startswith("writer: words per prompt 210, the base model 100: +110 (95 % interval +1")
    assert "the generator 2 0.300: +0.300" in sentences[2] and "the generator 2 150: +60" in sentences[3]


def test_an_incomplete_release_is_refused_with_the_make_target(run: Path) -> None:
    from lengthen.evaluate.summary import main

    shown = CliRunner().invoke(main, [str(run), "--iteration", "2", "--release", str(run / "release-02")])
    assert shown.exit_code == 2 and "make release N=2" in shown.output


def test_the_report_shows_the_writer_beside_the_others(run: Path) -> None:
    from lengthen.evaluate.report.__main__ import main

    shown = CliRunner().invoke(main, [str(run), "--output", str(run / "report.html")])
    assert shown.exit_code == 0, (shown.output, shown.exception)
    page = (run / "report.html").read_text()
    assert "<th>writer</th>" in page and '<td colspan="8">writer</td>' in page
    assert "iteration 2: the generator writes 150 words" in page and "writer: length score 0.600, the base model 0.200: +0.400" in page
    summary = pq.read_table(run / "report" / "summary.parquet").to_pylist()
    assert {row["model"] for row in summary} == {"base model", "iteration 2", "writer"}


@pytest.mark.parametrize("module", ["augment.demands", "augment.release.export", "augment.release.push"])
def test_help_imports_no_heavy_packages(module: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", f"lengthen.{module}", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Usage:" in shown.stdout
    imported = {line.split("|")[-1].strip().split(".")[0] for line in shown.stderr.splitlines()}
    assert not imported & HEAVY
