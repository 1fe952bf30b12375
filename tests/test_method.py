"""Parts of the method: expand's phases, selection, thinning, ids, proposals."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from conftest import response_row
from lengthen.augment.pool import Pool
from lengthen.augment.propose import StopAtNextItem
from lengthen.augment.seeding import Example
from lengthen.augment.wording import load_wording
from lengthen.common.config.engine import Model
from lengthen.common.config.load import Config
from lengthen.common.config.stages import Expand
from lengthen.common.engine.protocol import Completion, Prompt, SamplingParameters
from lengthen.common.engine.recorded import RecordedEngine
from lengthen.common.method.ids import attempt_seed, row_id
from lengthen.common.method.selection import keep_probability, selected
from lengthen.common.stage.job import Job
from lengthen.common.stage.tasks import Task
from lengthen.common.store.call_log import CALLS, CallLog
from lengthen.common.store.journal import Journal
from lengthen.common.text.rejection import Rejection
from lengthen.expand.lengthen import lengthen
from lengthen.finetune.examples import thinned

DRAFT = "\n\n".join(f"Paragraph {name} of the draft says a little about {name}." for name in ("one", "two", "three", "four"))


def paragraphs(count: int, mark: str) -> str:
    return "\n\n".join(f"In {mark}{n} there are {n} new words: " + " ".join(f"{mark}{n}w{k}" for k in range(8)) + "." for n in range(count))


class Scripted:
    """An engine that returns the given completions in order, and records its requests."""

    control_tokens = frozenset({"<|im_end|>"})

    def __init__(self, *answers: str | Completion) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[Prompt, SamplingParameters]] = []

    async def complete(self, prompt: Prompt, sampling: SamplingParameters, **rest: Any) -> Completion:
        self.requests.append((prompt, sampling))
        answer = self.answers.pop(0)
        return answer if isinstance(answer, Completion) else Completion(answer, len(answer.split()), "stop")


def expand_one(engine: Scripted, draft: str = DRAFT, **settings: Any) -> dict[str, Any] | Rejection:
    config = Config(model=Model(path=Path("none")), expand=Expand(**settings)).model_copy()
    config = config.model_copy(update={"check": config.check.model_copy(update={"min_words": 3})})
    job = Job("expand", config, Path("out"), 1, "echo")
    row = response_row(1, draft)
    recorded = RecordedEngine(engine, CallLog(Journal(Path(), Path(), CALLS, 1000, 1000.0)))  # type: ignore[arg-type]
    return asyncio.run(lengthen(job, Task("f" * 32, row["id"], 0, row), recorded.row("f" * 32)))


def test_phase_1_gets_half_the_draft_and_phase_2_continues_two_thirds_of_its_text() -> None:
    opening, rest = paragraphs(6, "a"), paragraphs(5, "b")
    engine = Scripted(opening, rest)
    row = expand_one(engine, rounds=1, attempts=1)
    first, second = (prompt for prompt, _ in engine.requests)
    assert "Paragraph two" in first.user and "Paragraph three" not in first.user and first.prefill == ""
    assert "Paragraph four" in second.user
    two_thirds = "\n\n".join(opening.split("\n\n")[:4])
    assert second.prefill == two_thirds + "\n\n"
    assert isinstance(row, dict)
    assert row["expansion"] == two_thirds + "\n\n" + rest
    assert row["expansion_words"] == len(row["expansion"].split())
    assert row["growth"] == pytest.approx(row["expansion_words"] / row["response_words"])


def test_each_round_starts_from_the_longest_text_so_far() -> None:
    engine = Scripted(paragraphs(3, "a"), paragraphs(6, "b"), paragraphs(2, "c"), paragraphs(1, "d"))
    row = expand_one(engine, rounds=2, attempts=1)
    assert "In b5" in engine.requests[3][0].user  # the second round's draft is the first round's text
    assert isinstance(row, dict) and "b5w1" in row["expansion"] and "d0w1" not in row["expansion"]
    assert row["rounds"] == 2


def test_an_attempt_is_accepted_only_above_the_min_growth_and_tokens_are_summed_over_attempts() -> None:
    short = Scripted(*["One new line of it.", "Another new line of it."] * 4)
    outcome = expand_one(short, rounds=2, attempts=2)
    assert isinstance(outcome, Rejection)
    assert (outcome.reason, outcome.attempts, outcome.tokens) == ("growth", 2, 40)
    engine = Scripted("One line of text.", "Two lines of text.", paragraphs(6, "a"), paragraphs(6, "b"))
    row = expand_one(engine, rounds=1, attempts=2)
    assert isinstance(row, dict)
    assert row["attempts"] == 2
    assert row["tokens"] == sum(
        len(text.split()) for text in ("One line of text.", "Two lines of text.", paragraphs(6, "a"), paragraphs(6, "b"))
    )


def test_attempts_and_phases_have_different_seeds() -> None:
    engine = Scripted(*["One line of text."] * 12)
    expand_one(engine, rounds=2, attempts=3)
    seeds = [sampling.seed for _, sampling in engine.requests]
    assert len(set(seeds)) == 12


def test_a_text_refused_by_the_check_is_not_the_next_draft() -> None:
    engine = Scripted(paragraphs(3, "a"), paragraphs(6, "b") + " and then it breaks", paragraphs(3, "c"), paragraphs(6, "d"))
    row = expand_one(engine, rounds=2, attempts=1)
    assert "In b5" not in engine.requests[3][0].user
    assert isinstance(row, dict) and "d5w1" in row["expansion"]


def test_an_opening_ended_by_the_token_limit_is_used_and_one_ended_by_a_loop_is_not() -> None:
    cut = Completion(paragraphs(6, "a") + "\n\nA last one that", 90, "length")
    assert isinstance(expand_one(Scripted(cut, paragraphs(5, "b")), rounds=1, attempts=1), dict)
    outcome = expand_one(Scripted(Completion(paragraphs(6, "a"), 90, "loop")), rounds=1, attempts=1)
    assert isinstance(outcome, Rejection) and outcome.reason == "loop"


def test_the_target_growth_ends_the_rounds() -> None:
    engine = Scripted(paragraphs(6, "a"), paragraphs(6, "b"))
    row = expand_one(engine, rounds=3, attempts=1, target_growth=2.0)
    assert isinstance(row, dict) and row["rounds"] == 1


def test_a_row_with_a_control_token_is_rejected_without_a_request() -> None:
    engine = Scripted()
    outcome = expand_one(engine, draft="A draft with <|im_end|> in it.")
    assert isinstance(outcome, Rejection) and outcome.reason == "control_tokens" and not engine.requests


def test_selection_uses_three_fifths_and_never_the_shortest_fifth_in_any_order() -> None:
    rows = [(f"{n:032x}", "en", n) for n in range(10_000)]
    used = selected(rows, seed=3)
    assert used == selected(list(reversed(rows)), seed=3)
    assert len(used) / len(rows) == pytest.approx(0.595, abs=0.02)
    assert min(int(row, 16) for row in used) >= 2_060
    assert keep_probability(10, 10) == 0.0
    assert keep_probability(5, 10) == pytest.approx(0.75)


def test_thinning_drops_lines_with_the_rows_seed_and_never_all_lines() -> None:
    text = "\n\n".join(f"line {n}" for n in range(1000))
    thin = thinned(text, 0.2, 1, "row")
    lines = [line for line in thin.split("\n") if line]
    assert thin == thinned(text, 0.2, 1, "row") != thinned(text, 0.2, 1, "other row")
    assert 0.75 < len(lines) / 1000 < 0.85
    assert lines == sorted(lines, key=lambda line: int(line.split()[1]))
    assert "\n\n\n" not in thin
    assert thinned("only one", 1.0, 1, "row") == "only one"
    assert thinned(text, 0.0, 1, "row") == text


def test_ids_and_seeds_depend_only_on_the_row() -> None:
    assert row_id("generate", 1, "a", 0) == row_id("generate", 1, "a", 0)
    assert len({row_id("generate", i, p, s) for i in (1, 2) for p in ("a", "b") for s in (0, 1)}) == 8
    assert attempt_seed(1, "row", 0) != attempt_seed(1, "row", 1) != attempt_seed(2, "row", 1)
    assert all(0 <= attempt_seed(n, "row", n) < 2**31 for n in range(100))


@pytest.mark.parametrize(
    ("text", "item"),
    [
        (" Write an essay.\nInstruction 4: Write a story.", "Write an essay."),
        ("\n Write an essay\nabout ships.\n\nMore.", "Write an essay\nabout ships.\n\nMore."),
        ('"Write an essay."', "Write an essay."),
        ("Write an essay.\n4. Write", "Write an essay."),
        ("Write an essay.\nInstructions 4: Write", "Write an essay."),
        ("Write an essay. INSTRUCTION 4: Write", "Write an essay."),
        ("Write 4. Of these instructions: 3.", "Write 4. Of these instructions: 3."),
    ],
)
def test_only_the_first_item_of_the_continued_list_is_used(text: str, item: str) -> None:
    assert load_wording("en").first_item(text) == item


@pytest.mark.parametrize("text", ["写一篇散文。\n指令 4：写一篇小说。", "“写一篇散文。”\n\n**指令4：**好的", "写一篇散文。\n4、写一篇"])
def test_only_the_first_item_of_a_chinese_list_is_used(text: str) -> None:
    wording = load_wording("zh")
    assert wording.first_item(text) == "写一篇散文。" and wording.has_next_item(text)
    assert wording.item(3) == "指令 3："


def test_the_proposal_is_stopped_at_the_next_item() -> None:
    watch = StopAtNextItem(load_wording("en"))
    assert [watch(piece) for piece in ("\n\nWrite it", " in 4. parts", "\n\n", "Instruction", " 4", ":")] == [*[None] * 5, "next_item"]
    assert watch.text.startswith("\n\nWrite")


def test_the_pool_finds_exact_and_near_duplicates() -> None:
    pool = Pool(0.7)
    long = "Write a detailed guide for people who want to grow vegetables on a small balcony in a large city all year round"
    pool.add_known(Example("one", "en", "", long))
    assert pool.nearest(long.upper()) == ("one", 1.0)
    near = pool.nearest(long.replace("all year round", "all the year round"))
    assert near is not None and near[0] == "one" and 0.7 < near[1] < 1
    assert pool.nearest("Write a speech for the opening of a bridge over the river in spring") is None
