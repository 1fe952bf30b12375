"""Known defects of the reference code: inputs for which its rule fails, and ours does not.

The reference's rules are written here in one or two lines each, from their description. Every known defect is an entry of
DEFECTS, with the tests that show that our code does not have it. Some of these tests are in other files.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import ROOT, expansion_row, instruction_row, rows, run, succeed, write
from lengthen.common.config.engine import Store
from lengthen.common.config.load import load_config
from lengthen.common.config.stages import Expand, Generate
from lengthen.common.engine.chat import Chat
from lengthen.common.engine.echo import EchoEngine
from lengthen.common.engine.protocol import Completion, Prompt, SamplingParameters
from lengthen.common.process.errors import TransientError
from lengthen.common.stage.job import Job
from lengthen.common.store.origin import Origin
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import ADAPTERS, EXPANSIONS, INSTRUCTIONS
from lengthen.common.text.paragraphs import split_paragraphs
from lengthen.finetune.rows import encode_rows
from lengthen.finetune.token_file import map_table
from test_method import DRAFT, Scripted, expand_one, paragraphs
from tokenizers.processors import TemplateProcessing

DEFECTS = {
    "the longest answers are dropped at 95 %": ["test_the_slowest_and_longest_answer_becomes_a_row"],
    "a failed request is ignored": ["test_a_failed_request_stops_the_stage_and_is_repeated_by_the_next_run"],
    "one repeated n-gram rejects a long answer": [
        "test_the_reference_refuses_any_text_with_a_repeated_ngram",
        "test_the_reference_refuses_any_chinese_text_with_a_repeated_ngram",
        "test_a_loop_is_refused",
    ],
    "endings by a set of characters": [
        "test_the_references_chinese_rule_refuses_every_english_sentence",
        "test_the_references_english_rule_accepts_a_comma_at_the_end",
        "test_the_references_english_rule_refuses_markdown",
    ],
    "stop strings cut tables and code": [
        "test_the_references_stop_strings_cut_tables_and_code",
        "test_rules_tables_and_empty_lines_do_not_end_an_answer",
    ],
    "the repetition penalty punishes the draft's words": ["test_expand_requests_have_no_repetition_penalty"],
    "16k tokens before the check": ["test_a_loop_costs_a_fraction_of_the_token_limit"],
    "chat template as a string, two BOS tokens": [
        "test_a_prompt_has_one_bos_token_even_if_the_tokenizer_adds_one",
        "test_a_training_example_is_the_whole_conversation_and_ends_with_the_end_token",
        "test_prompt_and_prefill_are_a_token_prefix_of_the_whole_conversation",
    ],
    "opening and continuation joined without a break; drafts joined differently in training": [
        "test_opening_and_continuation_are_joined_by_a_paragraph_break",
        "test_the_extender_is_trained_on_the_very_prompt_that_expand_asks",
    ],
    "half of one paragraph is empty, and so are two thirds of it": ["test_half_and_two_thirds_are_never_empty"],
    "over-long rows are truncated and lose their end token": ["test_an_over_long_row_is_rejected_and_every_other_has_its_end_token"],
    "one maximum length for both roles": [
        "test_more_over_long_rows_than_allowed_are_refused",
        "test_no_config_of_ours_has_rows_that_finetune_would_reject_for_their_length",
    ],
    "two forks by language": ["test_both_languages_go_through_augment_generate_and_expand_together"],
    "stop words inside other words, and none in capitals": [
        "test_the_references_stop_words_refuse_ordinary_words",
        "test_meta_talk_in_capitals_or_other_words_passes_the_reference",
    ],
    "garbled text passes": ["test_garbled_text_passes_the_reference"],
    "no seeds, no ids": ["test_ids_and_seeds_depend_only_on_the_row"],
    "no deduplication": ["test_the_pool_finds_exact_and_near_duplicates", "test_of_two_duplicate_answers_the_smaller_id_is_used"],
    "no decontamination": ["test_an_instruction_from_a_benchmark_file_is_rejected_with_the_figure_and_the_prompt"],
    "no lineage": ["test_rows_point_to_the_rows_they_were_made_from"],
    "no resume": ["test_a_stage_killed_at_random_moments_writes_the_same_bytes"],
    "processes are killed by name": ["test_no_process_is_killed_by_name"],
    "labels of above and below swapped": ["test_the_words_of_a_demand_agree_with_its_bounds"],
    "demands that their own answers do not meet": ["test_every_demand_is_true_and_is_read_with_the_same_bounds"],
}


def test_every_known_defect_has_its_tests() -> None:
    found = set(re.findall(r"^def (test_\w+)", "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py")), re.MULTILINE))
    assert {name for names in DEFECTS.values() for name in names} <= found


@pytest.fixture
def instructions(tmp_path: Path) -> Path:
    content = [instruction_row(n, f"Write an essay about subject {n}.") for n in range(20)]
    return write(tmp_path / "instructions", INSTRUCTIONS, content)


def generate(config: Path, instructions: Path, *more: object) -> tuple[object, ...]:
    settings = ("--set", "generate.responses=1", "--set", "generate.attempts=1", "--set", "generate.sampling.max_tokens=4000")
    return ("--config", config, "--engine", "echo", "--input", instructions, *settings, *more)


def test_the_slowest_and_longest_answer_becomes_a_row(
    config: Path, instructions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer answers take longer; the answer about subject 7 has ten times the length."""
    returned: list[int] = []

    async def slow(self: Any, prompt: Prompt, sampling: Any, **rest: Any) -> Completion:
        subject = int(re.findall(r"\d+", prompt.user)[0])
        text = paragraphs(80 if subject == 7 else 8, f"s{subject}")
        await asyncio.sleep(len(text) / 40_000)
        returned.append(len(text))
        return Completion(text, len(text.split()), "stop")

    monkeypatch.setattr(EchoEngine, "complete", slow)
    arguments = generate(config, instructions, "--set", "engine.rows_in_flight=20", "--output", tmp_path / "r")
    succeed("generate", *arguments)
    at_95_percent = returned[: int(0.95 * len(returned))]
    assert max(at_95_percent) < max(returned)  # here the reference stops and drops the longest answer
    found = rows(tmp_path / "r", "responses")
    assert len(found) == 20 and max(row["words"] for row in found) > 5 * min(row["words"] for row in found)


def test_a_failed_request_stops_the_stage_and_is_repeated_by_the_next_run(
    config: Path, instructions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, failing = EchoEngine.complete, True

    async def failing_for_subject_11(self: Any, prompt: Prompt, sampling: Any, **rest: Any) -> Completion:
        if failing and "subject 11" in prompt.user:
            raise TransientError("the engine lost its GPU")
        return await complete(self, prompt, sampling, **rest)

    monkeypatch.setattr(EchoEngine, "complete", failing_for_subject_11)
    arguments = generate(config, instructions, "--output", tmp_path / "r")
    stopped = run("generate", *arguments)
    assert stopped.exit_code == 75 and "the engine lost its GPU" in stopped.stderr
    assert not (tmp_path / "r" / ".manifest.json").exists()
    failing = False
    succeed("generate", *arguments)
    assert len(rows(tmp_path / "r", "responses")) == 20


MARKDOWN = (
    "# A report\n\nThe first part says what was found.\n\n---\n\n| year | rain |\n|---|---|\n| 1990 | much |\n\n"
    "```python\nfirst = 1\n\n\n\nsecond = 2\n```\n\nThe last part says what to do about it."
)


def test_rules_tables_and_empty_lines_do_not_end_an_answer(
    config: Path, instructions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until(text: str, *stops: str) -> str:
        return text[: min(text.find(stop) for stop in stops if stop in text)]

    assert "| year" not in until(MARKDOWN, "---", "\n\n\n") and "second" not in until(MARKDOWN, "\n\n\n")
    assert "stop" not in {field.name for field in fields(SamplingParameters)}  # no engine has stop strings

    async def markdown(self: Any, prompt: Prompt, sampling: Any, **rest: Any) -> Completion:
        return Completion(MARKDOWN, 50, "stop")

    monkeypatch.setattr(EchoEngine, "complete", markdown)
    succeed("generate", *generate(config, instructions, "--limit", "1", "--output", tmp_path / "r"))
    assert rows(tmp_path / "r", "responses")[0]["response"] == MARKDOWN


def test_expand_requests_have_no_repetition_penalty() -> None:
    engine = Scripted(paragraphs(6, "a"), paragraphs(6, "b"))
    expand_one(engine, rounds=1, attempts=1)
    assert [sampling.repetition_penalty for _, sampling in engine.requests] == [1.0, 1.0]
    assert Generate().sampling.repetition_penalty == 1.1


def test_a_loop_costs_a_fraction_of_the_token_limit(config: Path, instructions: Path, tmp_path: Path) -> None:
    """Without the watch, every answer would loop from its middle to the token limit."""
    settings = ("--set", "echo.loop_share=1.0", "--set", "echo.words=3000", "--limit", "5")
    stopped = run("generate", *generate(config, instructions, *settings, "--output", tmp_path / "r"))
    assert "(loop 5)" in stopped.stderr
    journal = [row for path in (tmp_path / "r" / ".work").glob("rejected-*") for row in pq.read_table(path).to_pylist()]
    first_half = 3000 * 1.3 / 2
    assert len(journal) == 5 and all(0 < row["tokens"] < first_half + 300 for row in journal)


def test_a_prompt_has_one_bos_token_even_if_the_tokenizer_adds_one(model: Path) -> None:
    """A tokenizer that adds a BOS token to every text, as Llama 3's does; the chat template adds one too."""
    chat = Chat(model)
    bos, begin = chat.tokenizer.bos_token, chat.tokenizer.bos_token_id
    chat.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, begin)])
    from_string = chat.tokenizer(f"{bos}user\nWrite.<|im_end|>\n{bos}assistant\n")["input_ids"]
    assert from_string[:2] == [begin, begin]
    ids = chat.encode(Prompt("Write."))
    assert ids == from_string[1:]
    assert chat.encode_example(Prompt("Write."), "A text.")[0] == ids


def test_opening_and_continuation_are_joined_by_a_paragraph_break() -> None:
    opening, rest = paragraphs(3, "a"), paragraphs(3, "b")
    two_thirds = "\n\n".join(opening.split("\n\n")[:2])
    assert len(split_paragraphs(two_thirds + rest)) == 4  # without a break two paragraphs become one
    row = expand_one(Scripted(opening, "\n" + rest + "\n"), rounds=1, attempts=1)
    assert isinstance(row, dict) and split_paragraphs(row["expansion"]) == split_paragraphs(two_thirds) + split_paragraphs(rest)


def test_an_opening_truncated_inside_its_only_paragraph_is_not_continued() -> None:
    cut = Completion("It begins well and says something of interest about the subject, and then the limit", 20, "length")
    engine = Scripted(cut, paragraphs(6, "a"), paragraphs(6, "b"))
    row = expand_one(engine, rounds=1, attempts=2)
    assert isinstance(row, dict) and row["attempts"] == 2 and "then the limit" not in row["expansion"]


def test_an_over_long_row_is_rejected_and_every_other_has_its_end_token(config: Path, tmp_path: Path, model: Path) -> None:
    texts = {n: " ".join(["The river keeps bread."] * (60 if n == 3 else 6 + n)) for n in range(8)}
    folder = write(tmp_path / "e", EXPANSIONS, [expansion_row(n, text[:60], text) for n, text in texts.items()])
    settings = ["finetune.max_tokens_generator=120", "finetune.length_biased_selection=false", "finetune.validation_share=0"]
    job = Job("finetune", load_config(config, settings), tmp_path / "out", 1, "")
    chat = Chat(model)
    end = chat.tokenizer.eos_token_id
    prompt, answer = chat.encode_example(Prompt("Write about subject 3."), texts[3])
    assert end not in (prompt + answer)[:120][len(prompt) :]  # truncated: the answer has no end token
    with DatasetWriter(tmp_path / "out", ADAPTERS, Origin({}), Store()) as writer:
        encoded = encode_rows(job, [open_dataset(folder, EXPANSIONS)], "generator", writer)
        writer.flush()
        rejected = [row for path in (tmp_path / "out" / ".work").glob("rejected-*") for row in pq.read_table(path).to_pylist()]
        found = map_table(encoded.train).to_pylist()
    assert [(row["id"], row["reason"]) for row in rejected] == [(f"{3:032x}", "over_long")]
    assert len(found) == 7 and all(row["input_ids"][-1] == end for row in found)


def test_no_process_is_killed_by_name() -> None:
    sources = [*ROOT.glob("common/src/**/*.py"), *ROOT.glob("stages/*/src/**/*.py"), ROOT / "Makefile", ROOT / ".ci" / "run"]
    assert len(sources) > 50
    assert not [path for path in sources if re.search(r"\b(?:pkill|killall)\b", path.read_text())]


def test_a_draft_of_one_paragraph_is_used_completely() -> None:
    """The reference uses no text of it: half of one paragraph is rounded down to none, and so are two thirds."""
    assert len(split_paragraphs(DRAFT)) == 4 and int(1 * 2 / 3) == 1 // 2 == 0
    engine = Scripted("One paragraph that is longer than the draft was.", paragraphs(3, "b"))
    row = expand_one(engine, draft="A draft of a single paragraph.", rounds=1, attempts=1)
    assert "A draft of a single paragraph." in engine.requests[0][0].user
    assert isinstance(row, dict) and row["expansion"].startswith("One paragraph that is longer than the draft was.\n\n")
    assert Expand().rounds == 3 and Expand().min_growth == 1.2
