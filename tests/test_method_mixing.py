"""What finetune learns from: earlier iterations and short answers are mixed in only where the config says so."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import expansion_row, write
from lengthen.common.config.engine import Store
from lengthen.common.config.load import load_config
from lengthen.common.engine.chat import Chat
from lengthen.common.method.extend.prompt import extend_prompt
from lengthen.common.stage.job import Job
from lengthen.common.store.commit import Outcome
from lengthen.common.store.origin import Origin
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import ADAPTERS, EXPANSIONS
from lengthen.finetune.examples import example
from lengthen.finetune.mixing import datasets_in_use
from lengthen.finetune.rows import encode_rows
from lengthen.finetune.token_file import map_table


def content(iteration: int, count: int) -> list[dict[str, Any]]:
    dice = random.Random(iteration)
    texts = [" ".join(dice.choices(tiny.WORDS, k=30)) + "." for _ in range(count)]
    return [expansion_row(100 * iteration + n, text[:50], text) | {"iteration": iteration} for n, text in enumerate(texts)]


@pytest.fixture
def datasets(tmp_path: Path) -> list[Dataset]:
    folders = []
    for iteration in (2, 1):
        folder = tmp_path / f"expansions-{iteration}"
        with DatasetWriter(folder, EXPANSIONS, Origin({"iteration": iteration}), Store()) as writer:
            for row in content(iteration, 40):
                writer.add(row)
            writer.commit(Outcome(40))
        folders.append(folder)
    return [open_dataset(folder, EXPANSIONS) for folder in folders]


def job(config: Path, tmp_path: Path, *settings: str) -> Job:
    more = ["finetune.length_biased_selection=false", "finetune.validation_share=0", *settings]
    return Job("finetune", load_config(config, more), tmp_path / "out", 2, "")


def encoded(work: Job, datasets: list[Dataset], role: str, model: Path) -> tuple[list[str], list[str]]:
    """(ids, texts that are learned) of the token rows."""
    chat = Chat(model)
    with DatasetWriter(work.output, ADAPTERS, Origin({}), Store()) as writer:
        rows = map_table(encode_rows(work, datasets_in_use(work, datasets), role, writer).train).to_pylist()
    learned = [chat.tokenizer.decode(row["input_ids"][row["prompt_tokens"] : -1]) for row in rows]
    return [row["id"] for row in rows], learned


def test_rows_of_earlier_iterations_are_not_used_as_in_the_paper(
    config: Path, tmp_path: Path, model: Path, datasets: list[Dataset]
) -> None:
    ids, learned = encoded(job(config, tmp_path), datasets, "generator", model)
    assert sorted(ids) == sorted(row["id"] for row in content(2, 40))
    assert sorted(learned) == sorted(row["expansion"] for row in content(2, 40))


def test_a_share_of_earlier_iterations_rows_is_mixed_in_by_their_ids(
    config: Path, tmp_path: Path, model: Path, datasets: list[Dataset]
) -> None:
    work = job(config, tmp_path, "finetune.earlier_share=0.5")
    ids, _ = encoded(work, datasets, "generator", model)
    old = {row["id"] for row in content(1, 40)}
    assert len(set(ids) - old) == 40 and 10 < len(set(ids) & old) < 30
    assert sorted(ids) == sorted(
        encoded(job(config, tmp_path / "again", "finetune.earlier_share=0.5"), datasets[::-1], "extender", model)[0]
    )


def test_a_share_of_rows_teaches_the_generator_the_short_answer(config: Path, tmp_path: Path, model: Path, datasets: list[Dataset]) -> None:
    ids, learned = encoded(job(config, tmp_path, "finetune.short_share=0.3"), datasets, "generator", model)
    by_id = {row["id"]: row for row in content(2, 40)}
    short = sum(text == by_id[row]["response"] for row, text in zip(ids, learned, strict=True))
    assert 4 <= short <= 20 and len(ids) == 40
    _, extended = encoded(job(config, tmp_path / "other", "finetune.short_share=0.3"), datasets, "extender", model)
    assert sorted(extended) == sorted(row["expansion"] for row in by_id.values())


@pytest.mark.parametrize("draft", ["One.\n\n\n\nTwo.\n \nThree.  \n\nFour.", "One.\nTwo.", "One.", "# A\n\n- b\n- c\n\n| d |\n|---|\n\nE."])
def test_the_extender_is_trained_on_the_very_prompt_that_expand_asks(draft: str) -> None:
    """One splitter and one joiner: whatever the white space of a draft, training and inference show it alike."""
    row = expansion_row(1, draft, "A much longer text.")
    assert example(row, "extender", 0.0, seed=1).prompt.user == extend_prompt("en", row["instruction"], draft)


def test_a_complete_dataset_without_an_iteration_in_its_fingerprint_is_used(config: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "e", EXPANSIONS, content(1, 2))
    assert len(datasets_in_use(job(config, tmp_path), [open_dataset(folder, EXPANSIONS)])) == 1
