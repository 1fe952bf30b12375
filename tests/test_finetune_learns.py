"""Training and inference agree: what was learned is what vLLM writes with the adapter, alone and merged."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
import trainings
from conftest import expansion_row, instruction_row, rows, write
from lengthen.common.store.manifest import read_manifest
from lengthen.common.tables.definitions import EXPANSIONS, INSTRUCTIONS
from lengthen.finetune.merge import main as merge
from peft import PeftModel
from transformers import AutoModelForCausalLM

pytestmark = [pytest.mark.engine, pytest.mark.ci]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """Four rows learned by heart."""
    folder, dice = tmp_path_factory.mktemp("learned"), random.Random(3)
    learner = tiny.build_learner(folder / "model", model)
    data = [expansion_row(n, trainings.text(5, dice), trainings.text(30, dice)) for n in range(4)]
    settings = {"num_train_epochs": 25, "learning_rate": 5e-3, "validation_share": 0.0, "lora": {"r": 32, "lora_alpha": 64}}
    settings["runtime"] = {"per_device_train_batch_size": 4}
    trainings.train(trainings.config(folder, learner, **settings), write(folder / "data", EXPANSIONS, data), folder / "adapter")
    return folder


def greedy_answers(learned: Path, model: str, *more: object) -> dict[str, str]:
    """What vLLM writes for each instruction that was learned."""
    known = [row["instruction"] for row in rows(learned / "data", "expansions")]
    instructions = write(learned / f"instructions-{model}", INSTRUCTIONS, [instruction_row(n, text) for n, text in enumerate(known)])
    config = tiny.write_config(
        learned / f"greedy-{model}.yaml",
        learned / model,
        check={"max_repetition": 1.0},
        generate={"responses": 1, "attempts": 1, "sampling": {"max_tokens": 200, "repetition_penalty": 1.0, "temperature": 0.0}},
    )
    output = learned / f"answers-{model}"
    command = [sys.executable, "-m", "lengthen.generate", "--config", config, "--input", instructions, "--output", output, *more]
    subprocess.run(command, check=True, capture_output=True, timeout=200)
    return {row["instruction"]: row["response"] for row in rows(output, "responses")}


@pytest.fixture(scope="module")
def answers(learned: Path) -> dict[str, str]:
    return greedy_answers(learned, "model", "--adapter", learned / "adapter")


def test_greedy_decoding_with_the_adapter_writes_the_rows_that_were_learned(learned: Path, answers: dict[str, str]) -> None:
    assert trainings.losses(learned / "adapter")[-1] < 0.1
    known = {row["instruction"]: row["expansion"] for row in rows(learned / "data", "expansions")}
    assert sum(known[instruction] == answer for instruction, answer in answers.items()) >= 1, (known, answers)


def test_every_token_is_counted_in_the_manifest(learned: Path) -> None:
    manifest = read_manifest(learned / "adapter")
    assert manifest is not None
    figures = manifest.summary
    assert figures["tokens_in"] == figures["tokens_trained"] + figures["tokens_validation"] + figures["tokens_rejected"] > 0
    assert figures["tokens_per_second"] > 0 and figures["peak_memory_bytes"] > 1e8 and 0 <= figures["padding_share"] < 0.2
    row = rows(learned / "adapter", "adapters")[0]
    assert row["tokens"] == figures["tokens_trained"] and row["steps"] == figures["steps"] == 25


def test_the_merged_model_is_base_and_adapter(learned: Path, answers: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", learned / "model", "--adapter", learned / "adapter", "--output", learned / "merged"]
    merge([str(argument) for argument in arguments], standalone_mode=False)
    capsys.readouterr()
    ids = torch.arange(20, 60)[None]
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(learned / "merged", dtype=torch.float32)(ids).logits
        base = AutoModelForCausalLM.from_pretrained(learned / "model", dtype=torch.float32)
        plain = base(ids).logits
        adapted = PeftModel.from_pretrained(base, learned / "adapter" / ".adapter")(ids).logits
    # Merged weights are rounded to bfloat16, 8 bits; the adapter's effect is far larger.
    assert float((merged - adapted).abs().max()) < 0.1 * float((plain - adapted).abs().max())
    assert not [file for file in (learned / "merged").iterdir() if file.suffix in (".bin", ".pt")]
    assert (learned / "merged" / "chat_template.jinja").is_file()
    assert greedy_answers(learned, "merged") == answers
    with pytest.raises(SystemExit) as ended:
        merge([str(argument) for argument in arguments], standalone_mode=False)
    assert ended.value.code == 2 and "exists" in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_with_exit_2_and_names_the_step(learned: Path) -> None:
    config = learned / "config.yaml"
    command = trainings.command(config, learned / "data", learned / "exploded", "--set", "finetune.learning_rate=1.0e+38")
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    line = ended.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ") and "at step 2 of 25; lower finetune.learning_rate" in line
    assert not (learned / "exploded" / ".adapter").exists()


def test_a_batch_that_memory_is_too_small_for_stops_with_exit_2_and_names_the_settings(tmp_path: Path, model: Path) -> None:
    """Of address space, libraries and all, four such rows take less than 3 GiB, 96 more than 4."""
    dice, count = random.Random(1), 96
    found = [expansion_row(n, trainings.text(9, dice), trainings.text(2600, dice)) for n in range(count)]
    config = trainings.config(tmp_path, model, num_train_epochs=1, train_batch_size=count, runtime={"per_device_train_batch_size": count})
    command = trainings.command(config, write(tmp_path / "data", EXPANSIONS, found), tmp_path / "out")
    command = ["prlimit", f"--as={int(3.5 * 2**30)}", *command]
    lean = {**os.environ, "OMP_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2"}  # stacks and arenas grow with the machine's cores
    ended = subprocess.run(command, env=lean, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 2, ended.stderr
    line = ended.stderr.strip().splitlines()[-1]
    assert line.startswith("error: out of memory (") and "finetune.runtime.per_device_train_batch_size" in line and "zero3_offload" in line
    assert not (tmp_path / "out" / ".manifest.json").exists()
