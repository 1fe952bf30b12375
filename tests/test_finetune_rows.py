"""How token rows are made: what is tokenized, in which processes, and which rows are for validation."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
from conftest import expansion_row, write
from lengthen.common.config.load import load_config
from lengthen.common.engine.chat import Chat
from lengthen.common.process.errors import TransientError, UserError
from lengthen.common.stage.job import Job
from lengthen.common.store.origin import Origin
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import ADAPTERS, EXPANSIONS
from lengthen.finetune import encoding
from lengthen.finetune.rows import TokenRows, encode_rows
from lengthen.finetune.token_file import map_table

Found = list[dict[str, Any]]
ALL = ("finetune.length_biased_selection=false", "finetune.max_similarity=1")


def content(count: int, rows_per_instruction: int = 1) -> Found:
    dice = random.Random(3)
    texts = [" ".join(dice.choices(tiny.WORDS, k=dice.randint(20, 60))) + "." for _ in range(count)]
    rows = [expansion_row(number, text[:50], text) for number, text in enumerate(texts)]
    return [row | {"instruction_id": f"{n // rows_per_instruction:032x}"} for n, row in enumerate(rows)]


def encoded(output: Path, config: Path, data: Path, *settings: str) -> tuple[TokenRows, Found, Found]:
    """What is known of the token rows, those for training and those for validation."""
    job = Job("finetune", load_config(config, list(settings)), output, 1, "")
    with DatasetWriter(output, ADAPTERS, Origin({}), job.config.store) as writer:
        rows = encode_rows(job, [open_dataset(data, EXPANSIONS)], "generator", writer)
        assert not [path for path in writer.scratch.iterdir() if path.name.startswith(("examples", "encoded"))]
        return rows, *(map_table(path).to_pylist() if path else [] for path in (rows.train, rows.validation))


def test_no_instruction_is_both_trained_on_and_used_for_validation(tmp_path: Path, config: Path) -> None:
    data = write(tmp_path / "data", EXPANSIONS, content(80, rows_per_instruction=4))
    rows, train, validation = encoded(tmp_path / "out", config, data, "finetune.validation_share=0.3", *ALL)
    assert rows.rows + rows.validation_rows == 80 and rows.rows > 20 and rows.validation_rows > 4
    trained, validated = ({int(row["id"], 16) // 4 for row in found} for found in (train, validation))
    assert not trained & validated and len(trained | validated) == 20


def test_without_a_row_to_train_on_those_for_validation_are_used(tmp_path: Path, config: Path) -> None:
    data = write(tmp_path / "data", EXPANSIONS, content(3))
    rows, train, validation = encoded(tmp_path / "out", config, data, "finetune.validation_share=0.999", *ALL)
    assert rows.rows == len(train) == 3 and not validation and rows.tokens == sum(len(row["input_ids"]) for row in train)


def test_rows_that_are_left_out_are_not_tokenized(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[str] = []
    encode = Chat.encode_example

    def counting(self: Chat, prompt: Any, answer: str) -> tuple[list[int], list[int]]:
        answers.append(answer)
        return encode(self, prompt, answer)

    monkeypatch.setattr(Chat, "encode_example", counting)
    given = content(40)
    given[7]["expansion"] = " \n"  # can't be read
    data = write(tmp_path / "data", EXPANSIONS, given)
    rows, train, validation = encoded(tmp_path / "out", config, data, "finetune.max_similarity=1")
    assert 10 < len(answers) < 36 and len(answers) == rows.rows + rows.validation_rows == len(train + validation)
    assert rows.rejected_tokens == 0 and given[7]["expansion"] not in answers


def test_one_and_two_processes_make_the_same_rows(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = content(150)  # more than a batch
    given[3]["expansion"] += " <|im_end|> and on."
    data = write(tmp_path / "data", EXPANSIONS, given)
    settings = ["finetune.max_tokens_generator=90", "finetune.max_over_long_share=0.9", "finetune.validation_share=0.2", *ALL]
    one, *rows_of_one = encoded(tmp_path / "one", config, data, *settings)
    monkeypatch.setattr(encoding, "FEW_ROWS", 1)
    monkeypatch.setattr(encoding, "available_cores", lambda: 2)
    monkeypatch.setattr(encoding, "map_examples", None)  # not in this process
    two, *rows_of_two = encoded(tmp_path / "two", config, data, *settings)
    assert rows_of_one == rows_of_two and one.rejected_tokens > 0 and one.validation_rows > 0
    assert two == one._replace(train=two.train, validation=two.validation)


def test_a_chat_template_that_does_not_fit_is_a_users_error_from_any_process(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copytree(model, tmp_path / "model")
    tokenizer = Chat(tmp_path / "model").tokenizer
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "model")
    config = tiny.write_config(tmp_path / "config.yaml", tmp_path / "model")
    data = write(tmp_path / "data", EXPANSIONS, content(8))
    monkeypatch.setattr(encoding, "available_cores", lambda: 2)
    for few in (1, 100):
        monkeypatch.setattr(encoding, "FEW_ROWS", few)
        with pytest.raises(UserError, match="does not end an answer"):
            encoded(tmp_path / f"out-{few}", config, data, *ALL)


def test_an_encoder_that_ends_without_a_reason_is_a_transient_failure(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "data", EXPANSIONS, content(8))
    monkeypatch.setattr(encoding, "FEW_ROWS", 1)
    monkeypatch.setattr(encoding, "available_cores", lambda: 2)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TransientError, match="exit code 1"):
        encoded(tmp_path / "out", config, data, *ALL)


SLOW = """
import sys
from pathlib import Path
from lengthen.common.process.errors import Stopped
from lengthen.common.stage.signals import stopping_on_signals
from lengthen.finetune import encoding
from test_finetune_rows import encoded, ALL

encoding.FEW_ROWS, encoding.available_cores = 1, lambda: 2
try:
    with stopping_on_signals():
        encoded(*map(Path, sys.argv[1:]), *ALL)
except Stopped as stopped:
    sys.exit(stopped.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_a_stage_that_is_stopped(number: signal.Signals, tmp_path: Path, config: Path) -> None:
    text = " ".join(random.Random(1).choices(tiny.WORDS, k=60_000)) + "."
    data = write(tmp_path / "data", EXPANSIONS, [expansion_row(n, "The river.", text) for n in range(150)])
    command = [sys.executable, "-c", SLOW, str(tmp_path / "out"), str(config), str(data)]
    stage = subprocess.Popen(command, cwd=Path(__file__).parent, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(started := psutil.Process(stage.pid).children(recursive=True)) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)  # the encoder, two workers, and the manager of `datasets`
    time.sleep(0.5)
    assert len(started) == 4 and stage.poll() is None
    os.kill(stage.pid, number)
    began = time.monotonic()
    _, errors = stage.communicate(timeout=30)
    assert stage.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}.get(number, -number)
    assert b"Traceback" not in errors
    _, alive = psutil.wait_procs(started, timeout=5)
    assert not alive and time.monotonic() - began < 5
