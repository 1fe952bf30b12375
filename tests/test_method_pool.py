"""The pool: near duplicates, decontamination, balance of categories, and the figures in the manifest."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from conftest import instruction_row, refused, rows, succeed, write
from lengthen.augment.contamination import BenchmarkIndex
from lengthen.augment.pool import Pool, is_long
from lengthen.augment.seeding import Example, load_seeds
from lengthen.common.engine.echo import EchoEngine
from lengthen.common.method.benchmark.files import BenchmarkFile, read_benchmark
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables.definitions import INSTRUCTIONS

PROMPT = "Write a travel guide to the islands of the northern sea, with its harbours and ferries, in about 3000 words."
CHINESE = "请写一篇介绍北方海岛的旅行指南,说明那里的港口和渡船,字数在三千字左右。"


def index_of(*prompts: str) -> BenchmarkIndex:
    lines = "\n".join(json.dumps({"prompt": prompt}) for prompt in prompts)
    return BenchmarkIndex([BenchmarkFile("mine", lines, "mine.jsonl")])


@pytest.mark.parametrize(
    "instruction",
    [
        PROMPT,
        PROMPT.upper(),
        "Write a travel guide to the islands of the northern sea, with its harbours and ferries.",  # without its demand
        "Please write a travel guide to the islands of the northern sea with its harbours and its ferries!",
        "请写一篇介绍北方海岛的旅行指南,说明那里的港口和渡船。",
    ],
)
def test_a_benchmark_prompt_is_found_without_its_demand_and_with_small_changes(instruction: str) -> None:
    found = index_of("Write a poem.", PROMPT, CHINESE).nearest(instruction)
    assert found is not None and found.share > 0.5
    assert found.prompt == ("mine/3" if "请" in instruction else "mine/2")


@pytest.mark.parametrize("instruction", ["Write a travel guide to Rome.", "Write an essay about", "写一篇游记。", ""])
def test_common_phrases_are_not_contamination(instruction: str) -> None:
    found = index_of("Write an essay about winter.", PROMPT, CHINESE).nearest(instruction)
    assert found is None or found.share <= 0.5


def test_no_built_in_seed_overlaps_with_the_built_in_benchmark() -> None:
    builtin = BenchmarkIndex([read_benchmark(None)])
    found = [builtin.nearest(seed.instruction) for seed in load_seeds(["en", "zh"], None)]
    assert max(overlap.share for overlap in found if overlap) < 0.4


@pytest.mark.parametrize("key", ["prompt", "query", "instruction"])
def test_an_instruction_from_a_benchmark_file_is_rejected_with_the_figure_and_the_prompt(
    key: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine proposes only benchmark prompts, one of them from the built-in benchmark."""
    builtin = json.loads(read_benchmark(None).text.splitlines()[0])["prompt"]
    complete = EchoEngine.complete
    prompts = iter([PROMPT, builtin] * 100)

    async def benchmark_prompt(self, prompt, sampling, **rest):  # type: ignore[no-untyped-def]
        return (await complete(self, prompt, sampling, **rest)).__class__(f" {next(prompts)}", 20, "stop")

    monkeypatch.setattr(EchoEngine, "complete", benchmark_prompt)
    (tmp_path / "mine.jsonl").write_text(json.dumps({key: PROMPT, "length": 3000}))
    arguments = ("--config", config, "--engine", "echo", "--output", tmp_path / "i", "--benchmark", tmp_path / "mine.jsonl")
    assert "no row is left of 6 (contaminated 6)" in refused("augment", *arguments)
    from pyarrow.parquet import read_table

    details = [detail for path in (tmp_path / "i" / ".work").glob("rejected-*") for detail in read_table(path)["detail"].to_pylist()]
    assert {detail.split(", ")[1] for detail in details} == {"mine/1", "builtin/en-01"}
    assert all(float(detail.split(" > ")[0]) > 0.5 for detail in details)


def test_the_benchmarks_are_in_the_fingerprint_in_any_order(config: Path, tmp_path: Path) -> None:
    for name, prompt in (("a", PROMPT), ("b", CHINESE)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"query": prompt}))
    a, b = ("--benchmark", tmp_path / "a.jsonl"), ("--benchmark", tmp_path / "b.jsonl")
    arguments = ("--config", config, "--engine", "echo", "--output", tmp_path / "i")
    succeed("augment", *arguments, *a, *b)
    assert "already complete" in succeed("augment", *arguments, *b, *a).stderr
    assert "input.benchmarks" in refused("augment", *arguments, *a)


@pytest.mark.parametrize(
    ("line", "problem"),
    [("{", "is not a valid JSON object"), ('{"text": "x"}', "no prompt found; add one of the keys"), ("[]", "no prompt found")],
)
def test_a_benchmark_file_without_prompts_is_refused(config: Path, tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "bad.jsonl").write_text(line)
    arguments = ("--config", config, "--engine", "echo", "--output", tmp_path / "i", "--benchmark", tmp_path / "bad.jsonl")
    message = refused("augment", *arguments)
    assert problem in message and "bad.jsonl, line 1" in message


def test_instructions_of_an_earlier_iteration_are_not_repeated(config: Path, tmp_path: Path) -> None:
    """The same slots and seeds give the same rows; with --input they are all duplicates."""
    arguments = ("--config", config, "--engine", "echo", "--set", "augment.grow_pool=false")
    succeed("augment", *arguments, "--output", tmp_path / "one")
    before = rows(tmp_path / "one", "instructions")
    earlier = write(tmp_path / "earlier", INSTRUCTIONS, [instruction_row(n, row["instruction"]) for n, row in enumerate(before)])
    line = refused("augment", *arguments, "--output", tmp_path / "two", "--input", earlier, "--set", "augment.attempts=1")
    assert "no row is left of 6 (duplicate 6)" in line


def test_examples_come_from_the_slots_category_or_from_the_language_if_it_has_too_few() -> None:
    pool = Pool(0.7)
    for n in range(6):
        pool.add_example(Example(f"essay-{n}", "en", "essay", f"Write an essay {n}."))
    pool.add_example(Example("play-1", "en", "play", "Write a play."))
    pool.add_example(Example("zh-1", "zh", "play", "写一部话剧。"))
    rng = random.Random(1)
    assert {example.category for _ in range(20) for example in pool.sample("en", "essay", 2, rng)} == {"essay"}
    assert {example.language for _ in range(20) for example in pool.sample("en", "play", 2, rng)} == {"en"}
    assert [example.id for example in pool.sample("zh", "play", 2, rng)] == ["zh-1"]


def test_the_manifest_has_the_diversity_of_the_instructions(config: Path, tmp_path: Path) -> None:
    shown = succeed("augment", "--config", config, "--engine", "echo", "--output", tmp_path / "i", "--set", "augment.instructions=14")
    manifest = read_manifest(tmp_path / "i")
    assert manifest is not None
    summary = manifest.summary
    assert 0 < summary["distinct_2"] <= 1 and 0 <= summary["mean_similarity"] < 0.2
    assert sum(summary["categories"].values()) == sum(summary["attempts"].values()) == manifest.rows_out
    assert summary["tokens_per_word"] * summary["mean_words"] * manifest.rows_out == pytest.approx(manifest.tokens)
    assert "distinct 2" in shown.stderr and "categories" in shown.stderr
    assert len(list(open_dataset(tmp_path / "i", INSTRUCTIONS).rows())) == manifest.rows_out


def test_long_and_short_examples_are_drawn_alike() -> None:
    """Although long ones are rare: a model continues a list with an item of its kind."""
    pool = Pool(0.7)
    for n in range(60):
        pool.add_example(Example(f"{n}", "en", "essay", f"Write an essay {n}." + (n % 20 == 0) * "\n\n- on tea\n- on salt"))
    rng = random.Random(1)
    drawn = [pool.sample("en", "essay", 2, rng) for _ in range(400)]
    assert all(len({example.id for example in examples}) == 2 for examples in drawn)
    lengths = [[is_long(example.instruction, "en") for example in examples] for examples in drawn]
    assert 350 < sum(map(sum, lengths)) < 450
    assert 80 < lengths.count([True, False]) < 120 and 80 < lengths.count([False, True]) < 120


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_with_too_few_long_or_short_ones_the_others_are_drawn(count: int) -> None:
    for long in range(4):
        pool = Pool(0.7)
        for n in range(3):
            pool.add_example(Example(f"{n}", "zh", "essay", "写一篇散文。" + (n < long) * "\n- 写茶"))
        for seed in range(20):
            assert len({example.id for example in pool.sample("zh", "essay", count, random.Random(seed))}) == min(3, count)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_third_of_each_categorys_seeds_are_long(language: str) -> None:
    seeds = load_seeds([language], None)  # type: ignore[list-item]
    for category in {seed.category for seed in seeds}:
        long = [is_long(seed.instruction, language) for seed in seeds if seed.category == category]
        assert 1 / 3 <= sum(long) / len(long) <= 1 / 2
    assert sum("\n" in seed.instruction for seed in seeds) > len(seeds) / 5


def test_the_manifest_has_the_shares_of_long_instructions_and_the_number_of_prompts(config: Path, tmp_path: Path) -> None:
    shown = succeed("augment", "--config", config, "--engine", "echo", "--output", tmp_path / "i", "--set", "augment.instructions=30")
    manifest, found = read_manifest(tmp_path / "i"), rows(tmp_path / "i", "instructions")
    assert manifest and manifest.summary["different_examples"] == len({tuple(row["parents"]) for row in found})
    assert manifest.summary["several_lines_share"] == sum("\n" in row["instruction"] for row in found) / len(found) > 0
    assert manifest.summary["several_lines_share"] <= manifest.summary["long_share"] < 1
    assert "long share" in shown.stderr
