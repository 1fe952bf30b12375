"""The rows of a release: which answers are collected, and how a length demand is added to an instruction."""

from __future__ import annotations

import asyncio
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import ROOT, expansion_row, refused, response_row, rows, snapshot, succeed, write
from lengthen.augment.contamination import BenchmarkIndex
from lengthen.augment.release.collect import excluded_rows, held_out
from lengthen.augment.release.export import export
from lengthen.augment.release.phrasing import load_phrasing
from lengthen.augment.release.reading import read_demands
from lengthen.augment.release.rewrite import Query, add_demand
from lengthen.augment.release.row import load_demand_prompts
from lengthen.common.config.load import Config, load_config
from lengthen.common.engine.protocol import Completion, Prompt
from lengthen.common.method.benchmark.files import BenchmarkFile, read_benchmark
from lengthen.common.method.demand import Demand
from lengthen.common.method.ids import row_id
from lengthen.common.method.selection import left_out
from lengthen.common.process.errors import UserError
from lengthen.common.stage.job import Job
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.reader import Dataset, open_dataset
from lengthen.common.tables.definitions import DATASET, EXPANSIONS, RESPONSES, SCORES
from lengthen.common.text.words import count_words

INSTRUCTION = "Write a travel guide to an island that has no roads, with 3 walks and a map in words."
TEMPLATE_SEED = 1  # draws a sentence instead of an insertion
SUBJECTS = ["clocks", "rivers and their bridges", "the history of salt", "a quiet village school", "night trains", "growing tomatoes"]


def text_of(words: int, seed: int) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(tiny.WORDS) + str(rng.randint(0, 99)) for _ in range(words - 1)) + " end."


def config_of(**release: Any) -> Config:
    settings = {"min_words": 50, **release}
    return Config.model_validate(
        {
            "model": {"path": "none"},
            "expand": {"length_biased_selection": False, "max_similarity": 1.0},
            "finetune": {"length_biased_selection": False, "max_similarity": 1.0},
            "release": settings,
        },
        strict=False,
    )


def dataset(folder: Path, *content: dict[str, Any]) -> Dataset:
    table = EXPANSIONS if "expansion" in content[0] else RESPONSES
    return open_dataset(write(folder, table, list(content)), table)


def expansion(number: int, words: int, *, subject: int | None = None, **columns: Any) -> dict[str, Any]:
    subject = number if subject is None else subject
    row = expansion_row(number, text_of(40, 1000 + number), text_of(words, number))
    return row | {"instruction_id": f"{subject:032x}", "instruction": f"Write an essay about {SUBJECTS[subject]}."} | columns


def reasons(datasets: list[Dataset], config: Config, benchmarks: list[BenchmarkFile] | None = None, **grades: float) -> dict[int, str]:
    """The number of each excluded row -> its reason."""
    by_id = {f"{int(number.removeprefix('row')):032x}": grade for number, grade in grades.items()}
    out = excluded_rows(datasets, config, BenchmarkIndex(benchmarks or []), by_id)
    return {int(name, 16): found.reason for name, found in out.items()}


def test_short_answers_are_rejected(tmp_path: Path) -> None:
    assert reasons([dataset(tmp_path / "e", expansion(0, 49), expansion(1, 50))], config_of()) == {0: "too_short"}


def test_only_the_longest_answers_to_an_instruction_are_used(tmp_path: Path) -> None:
    data = dataset(tmp_path / "e", *(expansion(number, 60 + 10 * number, subject=0) for number in range(4)), expansion(5, 60))
    assert reasons([data], config_of(answers=2)) == {0: "selected_out", 1: "selected_out"}


def test_with_one_answer_per_instruction_the_longest_is_used(tmp_path: Path) -> None:
    pairs = [expansion(2 * subject + which, 400 if which else 60, subject=subject) for subject in range(4) for which in (0, 1)]
    assert set(reasons([dataset(tmp_path / "e", *pairs)], config_of(answers=1))) == {0, 2, 4, 6}


def test_of_two_duplicate_answers_the_one_in_the_earlier_input_is_used(tmp_path: Path) -> None:
    same = expansion(0, 80)
    response = response_row(7, same["expansion"]) | {"instruction": "Write about boats."}
    first, second = dataset(tmp_path / "e", same), dataset(tmp_path / "r", response)
    assert reasons([first, second], config_of()) == {7: "duplicate"}
    assert reasons([second, first], config_of()) == {0: "duplicate"}


def test_answers_to_duplicate_instructions_are_rejected(tmp_path: Path) -> None:
    same = {"instruction": "Write an essay about   CLOCKS."}
    assert reasons([dataset(tmp_path / "e", expansion(0, 80), expansion(1, 90, **same))], config_of()) == {1: "duplicate"}


def test_benchmark_prompts_are_rejected(tmp_path: Path) -> None:
    prompt = "Write a story about a baker who hears the bread speak at night."
    data = dataset(tmp_path / "e", expansion(0, 80, instruction=prompt), expansion(1, 80))
    assert reasons([data], config_of(), [read_benchmark(None)]) == {0: "contaminated"}


def test_low_grades_are_rejected_and_rows_without_a_grade_are_not(tmp_path: Path) -> None:
    data = dataset(tmp_path / "e", expansion(0, 80), expansion(1, 80), expansion(2, 80))
    assert reasons([data], config_of(min_quality=6.0), row0=5.9, row1=6.0) == {0: "low_quality"}


def test_an_instruction_with_its_own_false_demand_is_rejected(tmp_path: Path) -> None:
    own = [
        {"instruction": f"Write about {SUBJECTS[number]} in {length}."}
        for number, length in enumerate(("500 words", "100 words", "a thousand words"))
    ]
    data = dataset(tmp_path / "e", *(expansion(number, 105, **columns) for number, columns in enumerate(own)))
    assert reasons([data], config_of()) == {0: "own_demand", 2: "own_demand"}


def test_the_release_uses_the_selection_of_expand_and_finetune(tmp_path: Path) -> None:
    """Responses that expand did not select, and expansions that finetune did not, are not in the release."""
    config = config_of(answers=9, max_similarity=1.0).model_copy(
        update={"expand": Config.model_fields["expand"].default, "finetune": Config.model_fields["finetune"].default}
    )
    data = dataset(tmp_path / "e", *(expansion(number, 60 + number, subject=number % 6) for number in range(30)))
    answers = dataset(tmp_path / "r", *(response_row(100 + number, text_of(60 + number, 100 + number)) for number in range(30)))
    expected = left_out([data], "expansion", "expansion_words", 0, length_biased=True, max_similarity=0.8)
    expected |= left_out([answers], "response", "words", 0, length_biased=True, max_similarity=0.8)
    assert expected
    assert reasons([data, answers], config) == {int(name, 16): "selected_out" for name in expected}


def test_more_instructions_do_not_change_which_ones_are_held_out() -> None:
    names = [f"{number:032x}" for number in range(500)]
    before, after = held_out(names[:300], 0.1, 1), held_out(names, 0.1, 1)
    assert before == after & set(names[:300])
    assert 20 < len(before) < 45
    assert [len(held_out(names[:count], 0.001, 1)) for count in (1, 2, 5)] == [0, 1, 1]


class Scripted:
    """An engine that returns the given texts, and scores a demand after "guide" highest."""

    control_tokens = frozenset({"<|im_end|>"})

    def __init__(self, *texts: str) -> None:
        self.texts, self.row, self.engine, self.prompts = list(texts), "a" * 32, self, [""]

    async def score(self, call: str, prompt: Prompt, texts: list[str]) -> list[float]:
        return [-1.0 if " guide of 2" in text else -2.0 for text in texts]

    async def complete(self, call: str, prompt: Prompt, *_: object) -> Completion:
        self.prompts.append(prompt.user)
        return Completion(self.texts.pop(0), 7, "stop")


def query_of(*texts: str, seed: int = 3) -> Query:
    """The query for the instruction and the demand "2000 to 3000 words", when the model completes with these texts."""
    config = config_of(attempts=len(texts))
    job = Job("augment.demands", config, Path("none"), 1, "echo")
    engine: Any = Scripted(*texts)
    demand, rng = Demand("range", (2000, 3000)), random.Random(seed)
    query = asyncio.run(add_demand(engine, INSTRUCTION, demand, load_phrasing("en"), load_demand_prompts("en"), job, rng))
    assert isinstance(query, Query), query
    assert not texts or INSTRUCTION in engine.prompts[-1]
    assert [found.demand for found in read_demands(query.text, "en")] == [demand]
    return query


def test_an_instruction_rewritten_with_the_demand_is_used() -> None:
    query = query_of("Write a travel guide of 2,000 to 3,000 words to an island that has no roads, with 3 walks and a map in words.")
    assert (query.by, query.phrase, query.attempts, query.tokens) == ("model", "2,000 to 3,000 words", 1, 7)


@pytest.mark.parametrize(
    "answer",
    [
        "Write a travel guide of about 2,000 words to an island that has no roads, with 3 walks and a map in words.",
        "Write a travel guide of 2,000 to 4,000 words to an island that has no roads, with 3 walks and a map in words.",
        "Write a travel guide of 2,000 to 3,000 words to an island, with 3 walks.",
        "Write a travel guide of 2,000 to 3,000 words to an island that has no roads, with 5 walks and a map in words.",
        "Instruction: Write a travel guide of 2,000 to 3,000 words to an island that has no roads, with 3 walks and a map in words.",
        "Write a travel guide of 2,000 to 3,000 words to an island that has no roads, with 3 walks and a map in 500 words.",
        "Write a travel guide of 2,000 to 3,000 words to an island that has no roads<|im_end|>, with 3 walks and a map in words.",
        INSTRUCTION,
        "",
    ],
)
def test_a_rewritten_instruction_with_other_changes_is_not_used(answer: str) -> None:
    query = query_of(answer, seed=TEMPLATE_SEED)
    assert query.by == "template"
    assert query.text.replace("\n", " ").count(INSTRUCTION) == 1


def test_without_a_rewrite_the_demand_is_inserted_or_added_as_a_sentence() -> None:
    found = [query_of(seed=seed) for seed in range(200)]
    inserted = [query for query in found if query.by == "inserted"]
    assert 70 < len(inserted) < 130 and len(inserted) + sum(query.by == "template" for query in found) == 200
    assert {query.attempts for query in found} == {0}
    ranges = [query for query in inserted if query.phrase[0] == "2"]  # for "between 2,000 and …" the engine scores all positions equally
    assert ranges and all(query.text == INSTRUCTION.replace(" guide", f" guide of {query.phrase}") for query in ranges)


def test_chinese_instructions_are_rewritten_too() -> None:
    before = "写一篇短篇小说，讲一位退休的钟表匠在旧怀表里发现一张没有寄出的船票。"
    job = Job("augment.demands", config_of(attempts=1), Path("none"), 1, "echo")
    for answer, by in (
        ("请用三千字左右的篇幅，" + before, "model"),
        (before + "字数三千字左右，结尾要出人意料，还要写一段对话。", "template"),
    ):
        engine: Any = Scripted(answer)
        rng = random.Random(TEMPLATE_SEED)
        query = asyncio.run(add_demand(engine, before, Demand("about", 3000), load_phrasing("zh"), load_demand_prompts("zh"), job, rng))
        assert isinstance(query, Query) and query.by == by, query
        assert query.phrase in query.text and before in query.text.replace("\n", "")


def test_a_second_attempt_may_succeed() -> None:
    good = "In 2000-3000 words, write a travel guide to an island that has no roads, with 3 walks and a map in words."
    query = query_of("No.", good)
    assert (query.by, query.attempts, query.tokens) == ("model", 2, 14)


@pytest.fixture(scope="module")
def echo_release(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Path]:
    """An iteration in two languages, the release's instructions and responses, and the dataset of both, with the echo engine."""
    base = tmp_path_factory.mktemp("release")
    config = tiny.write_config(
        base / "c.yaml", model, languages=["en", "zh"], echo={"words": 60, "growth": 0.4}, augment={"instructions": 14},
        expand={"sampling": {"max_tokens": 1500}},
        release={"instructions": 6, "min_words": 40, "test_share": 0.2, "attempts": 1, "without_demand": 0.2},
    )  # fmt: skip
    common = ("--config", config, "--engine", "echo")
    succeed("augment", *common, "--output", base / "i")
    succeed("generate", *common, "--input", base / "i", "--output", base / "r")
    succeed("expand", *common, "--input", base / "r", "--output", base / "e")
    final = (*common, "--iteration", 2)
    succeed("augment", *final, "--release", "--input", base / "i", "--output", base / "i2")
    succeed("generate", *final, "--input", base / "i2", "--output", base / "r2")
    succeed("augment.demands", *final, *inputs(base), "--output", base / "dataset")
    return config, base


def inputs(base: Path) -> list[object]:
    return [part for name in ("e", "r2", "r") for part in ("--input", base / name)]


def test_the_release_has_its_own_instructions_and_ids(echo_release: tuple[Path, Path]) -> None:
    found = rows(echo_release[1] / "i2", "instructions")
    assert {row["iteration"] for row in found} == {2}
    assert not {row["id"] for row in found} & {row_id("augment", 2, "slot", number) for number in range(50)}
    manifest = read_manifest(echo_release[1] / "i2")
    assert manifest is not None and manifest.rows_in == 6


def test_every_demand_can_be_read_in_its_query_and_is_true_for_its_answer(echo_release: tuple[Path, Path]) -> None:
    found = rows(echo_release[1] / "dataset", "dataset")
    assert {row["language"] for row in found} == {"en", "zh"}
    assert {row["source"] for row in found} == {"responses", "expansions"}
    assert {row["kind"] for row in found} >= {"about", "range", "below", "none"}
    for row in found:
        demands = [(found.demand, row["query"][found.start : found.end]) for found in read_demands(row["query"], row["language"])]
        if row["kind"] == "none":
            assert demands == [] and row["lower"] is row["upper"] is row["demand"] is row["demand_by"] is None
        else:
            [(demand, phrase)] = demands
            assert demand is not None and (demand.kind, demand.lower, demand.upper) == (row["kind"], row["lower"], row["upper"])
            assert phrase == row["demand"]
            assert row["lower"] <= count_words(row["response"]) == row["words"] <= row["upper"]


def test_train_and_test_splits_share_no_instruction(echo_release: tuple[Path, Path]) -> None:
    found = rows(echo_release[1] / "dataset", "dataset")
    splits = [{row["instruction_id"] for row in found if row["split"] == split} for split in ("train", "test")]
    assert all(splits) and not splits[0] & splits[1]


def test_the_same_instruction_with_two_ids_is_in_one_split(tmp_path: Path, model: Path) -> None:
    """With `max_similarity: 1` no duplicates are rejected."""
    twins = []
    for number in range(12):
        row = expansion(number, 80 + number, subject=number % 6)
        text = row["instruction"].upper() if number < 6 else row["instruction"]
        twins.append(row | {"instruction_id": row["id"], "instruction": text})
    write(tmp_path / "e", EXPANSIONS, twins)
    off = {"length_biased_selection": False, "max_similarity": 1.0}
    release = {"min_words": 50, "max_similarity": 1.0, "test_share": 0.4, "attempts": 0, "without_demand": 1.0}
    config = tiny.write_config(tmp_path / "c.yaml", model, expand=off, finetune=off, release=release)
    succeed("augment.demands", "--config", config, "--engine", "echo", "--input", tmp_path / "e", "--output", tmp_path / "d")
    found = rows(tmp_path / "d", "dataset")
    splits = [{row["query"].lower() for row in found if row["split"] == split} for split in ("train", "test")]
    assert len(found) == 12 and all(splits) and not splits[0] & splits[1]


def test_every_row_without_an_output_row_is_rejected(echo_release: tuple[Path, Path]) -> None:
    manifest = read_manifest(echo_release[1] / "dataset")
    assert manifest is not None
    sources = (("e", "expansions"), ("r", "responses"), ("r2", "responses"))
    assert manifest.rows_in == sum(len(rows(echo_release[1] / name, table)) for name, table in sources)
    assert manifest.rows_in == manifest.rows_out + sum(manifest.rejected.values())
    assert manifest.summary["kind"]["none"] < manifest.rows_out


def test_a_second_run_changes_nothing_and_another_concurrency_gives_the_same_bytes(echo_release: tuple[Path, Path], tmp_path: Path) -> None:
    config, base = echo_release
    before = snapshot(base / "dataset")
    again = ("--config", config, "--engine", "echo", "--iteration", 2, *inputs(base))
    assert "already complete" in succeed("augment.demands", *again, "--output", base / "dataset").output
    assert snapshot(base / "dataset") == before
    succeed("augment.demands", *again, "--output", tmp_path / "d", "--set", "engine.rows_in_flight=3")
    assert [path.name for path in (tmp_path / "d").glob("*.parquet")] == [path.name for path in (base / "dataset").glob("*.parquet")]


def test_a_later_release_gives_a_row_the_same_demand(echo_release: tuple[Path, Path], tmp_path: Path) -> None:
    config, base = echo_release
    only = ("--config", config, "--engine", "echo", "--iteration", 9, "--input", base / "e", "--output", tmp_path / "d")
    succeed("augment.demands", *only)
    before = {row["id"]: row["query"] for row in rows(base / "dataset", "dataset")}
    shared = [row for row in rows(tmp_path / "d", "dataset") if row["id"] in before]
    assert shared and all(row["query"] == before[row["id"]] for row in shared)


def test_inputs_with_another_table_or_the_same_rows_are_refused(echo_release: tuple[Path, Path], tmp_path: Path) -> None:
    config, base = echo_release
    common = ("--config", config, "--engine", "echo", "--output", tmp_path / "d")
    assert "has the table instructions" in refused("augment.demands", *common, "--input", base / "i")
    assert "have the same rows" in refused("augment.demands", *common, "--input", base / "e", "--input", base / "e")


def test_a_judges_grades_are_read_from_evaluate(echo_release: tuple[Path, Path], tmp_path: Path) -> None:
    config, base = echo_release
    judged = ("--set", "evaluate.judge={model: self}")
    succeed("evaluate", "--config", config, "--engine", "echo", "--input", base / "e", "--output", tmp_path / "quality", *judged)
    common = ("--config", config, "--engine", "echo", "--input", base / "e", "--output", tmp_path / "d")
    succeed("augment.demands", *common, "--scores", tmp_path / "quality", "--set", "release.min_quality=5.5")
    grades = {row["prompt_id"]: row["quality"] for row in open_dataset(tmp_path / "quality", SCORES).rows()}
    low = {name for name, grade in grades.items() if grade is not None and grade < 5.5}
    assert low and not low & {row["source_id"] for row in rows(tmp_path / "d", "dataset")}


def test_the_card_shows_the_settings_of_the_release(echo_release: tuple[Path, Path], tmp_path: Path) -> None:
    assert export(open_dataset(echo_release[1] / "dataset", DATASET), tmp_path / "hub", {}, "some/name", "unknown")
    [settings] = [line for line in (tmp_path / "hub" / "README.md").read_text().splitlines() if line.startswith("Settings: ")]
    assert "release.min_words 40, " in settings and "?" not in settings


def test_the_makefile_makes_a_release_after_its_iteration() -> None:
    plan = subprocess.run(["make", "-n", "release", "N=2", "RUN=/nowhere/run"], cwd=ROOT, capture_output=True, text=True, check=True)
    order = [line for line in plan.stdout.replace("\\\n", " ").splitlines() if " -m lengthen." in line and "embedded" not in line]
    outputs = [line.split("--output ")[1].split()[0].removeprefix("/nowhere/run/") for line in order if "--output" in line]
    assert outputs[-5:] == [f"release-02/{name}" for name in ("instructions", "responses", "dataset", "writer", "scores")]
    assert {"iter-00/scores", "iter-02/generator", "iter-02/scores", "iter-02/extender"} <= set(outputs[:-5])
    final = next(line for line in order if "release-02/responses --adapter" in " ".join(line.split()))
    assert "--adapter /nowhere/run/iter-02/generator" in " ".join(final.split())


def test_the_small_configs_have_a_small_release() -> None:
    for name in ("laptop", "smoke"):
        assert load_config(ROOT / "configs" / f"{name}.yaml").release.min_words < 200


def test_a_row_in_two_inputs_is_refused(tmp_path: Path) -> None:
    first = dataset(tmp_path / "a", expansion(0, 80))
    second = dataset(tmp_path / "b", expansion(0, 80), expansion(1, 80))
    with pytest.raises(UserError, match="is in two --input datasets"):
        reasons([first, second], config_of())
