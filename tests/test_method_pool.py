"""The pool: no near duplicates, nothing of a benchmark, balance over categories, and the figures that say so."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from conftest import instruction_row, refused, rows, succeed, write
from lengthen.augment.contamination import Contamination
from lengthen.augment.pool import Pool
from lengthen.augment.seeding import Example, load_seeds
from lengthen.common.benchmark import BenchmarkFile, read_benchmark
from lengthen.common.engine.echo import EchoEngine
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables import INSTRUCTIONS

PROMPT = "Write a travel guide to the islands of the northern sea, with its harbours and ferries, in about 3000 words."
CHINESE = "请写一篇介绍北方海岛的旅行指南,说明那里的港口和渡船,字数在三千字左右。"


def contamination(*prompts: str) -> Contamination:
    lines = "\n".join(json.dumps({"prompt": prompt}) for prompt in prompts)
    return Contamination([BenchmarkFile("mine", lines, "mine.jsonl")])


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
def test_a_benchmark_prompt_is_recognised_without_its_demand_and_slightly_changed(instruction: str) -> None:
    found = contamination("Write a poem.", PROMPT, CHINESE).nearest(instruction)
    assert found is not None and found.share > 0.5
    assert found.prompt == ("mine/3" if "请" in instruction else "mine/2")


@pytest.mark.parametrize("instruction", ["Write a travel guide to Rome.", "Write an essay about", "写一篇游记。", ""])
def test_stock_phrases_are_no_contamination(instruction: str) -> None:
    found = contamination("Write an essay about winter.", PROMPT, CHINESE).nearest(instruction)
    assert found is None or found.share <= 0.5


def test_none_of_our_seeds_is_near_the_built_in_benchmark() -> None:
    builtin = Contamination([read_benchmark(None)])
    found = [builtin.nearest(seed.instruction) for seed in load_seeds(["en", "zh"], None)]
    assert max(overlap.share for overlap in found if overlap) < 0.4


@pytest.mark.parametrize("key", ["prompt", "query", "instruction"])
def test_an_instruction_from_a_benchmark_file_is_rejected_with_the_figure_and_the_prompt(
    key: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine proposes a benchmark's prompts and nothing else, one of them the built-in benchmark's."""
    builtin = json.loads(read_benchmark(None).text.splitlines()[0])["prompt"]
    complete = EchoEngine.complete
    given = iter([PROMPT, builtin] * 100)

    async def parrot(self, prompt, sampling, **rest):  # type: ignore[no-untyped-def]
        return (await complete(self, prompt, sampling, **rest)).__class__(f" {next(given)}", 20, "stop")

    monkeypatch.setattr(EchoEngine, "complete", parrot)
    (tmp_path / "mine.jsonl").write_text(json.dumps({key: PROMPT, "length": 3000}))
    arguments = ("--config", config, "--engine", "echo", "--output", tmp_path / "i", "--benchmark", tmp_path / "mine.jsonl")
    assert "no row is left of 6 (contaminated 6)" in refused("augment", *arguments)
    from pyarrow.parquet import read_table

    details = [detail for path in (tmp_path / "i" / ".work").glob("rejected-*") for detail in read_table(path)["detail"].to_pylist()]
    assert {detail.split(", ")[1] for detail in details} == {"mine/1", "builtin/en-01"}
    assert all(float(detail.split(" > ")[0]) > 0.5 for detail in details)


def test_other_benchmarks_are_other_rows_and_their_order_is_none(config: Path, tmp_path: Path) -> None:
    for name, prompt in (("a", PROMPT), ("b", CHINESE)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"query": prompt}))
    a, b = ("--benchmark", tmp_path / "a.jsonl"), ("--benchmark", tmp_path / "b.jsonl")
    arguments = ("--config", config, "--engine", "echo", "--output", tmp_path / "i")
    succeed("augment", *arguments, *a, *b)
    assert "already complete" in succeed("augment", *arguments, *b, *a).stderr
    assert "input.benchmarks" in refused("augment", *arguments, *a)


@pytest.mark.parametrize(("line", "problem"), [("{", "no JSON object"), ('{"text": "x"}', "needs one of the keys"), ("[]", "no prompt")])
def test_a_benchmark_file_without_prompts_is_refused(config: Path, tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "bad.jsonl").write_text(line)
    arguments = ("--config", config, "--engine", "echo", "--output", tmp_path / "i", "--benchmark", tmp_path / "bad.jsonl")
    message = refused("augment", *arguments)
    assert problem in message and "bad.jsonl, line 1" in message


def test_instructions_of_an_earlier_iteration_are_not_said_again(config: Path, tmp_path: Path) -> None:
    """The same slots and seeds again: without --input the same rows, with it none of them."""
    arguments = ("--config", config, "--engine", "echo", "--set", "augment.grow_pool=false")
    succeed("augment", *arguments, "--output", tmp_path / "one")
    before = rows(tmp_path / "one", "instructions")
    earlier = write(tmp_path / "earlier", INSTRUCTIONS, [instruction_row(n, row["instruction"]) for n, row in enumerate(before)])
    line = refused("augment", *arguments, "--output", tmp_path / "two", "--input", earlier, "--set", "augment.attempts=1")
    assert "no row is left of 6 (duplicate 6)" in line


def test_examples_come_from_the_slots_category_and_from_the_language_where_it_has_too_few() -> None:
    pool = Pool(0.7)
    for n in range(6):
        pool.show(Example(f"essay-{n}", "en", "essay", f"Write an essay {n}."))
    pool.show(Example("play-1", "en", "play", "Write a play."))
    pool.show(Example("zh-1", "zh", "play", "写一部话剧。"))
    dice = random.Random(1)
    assert {example.category for _ in range(20) for example in pool.draw("en", "essay", 2, dice)} == {"essay"}
    assert {example.language for _ in range(20) for example in pool.draw("en", "play", 2, dice)} == {"en"}
    assert [example.id for example in pool.draw("zh", "play", 2, dice)] == ["zh-1"]


def test_the_manifest_says_how_varied_the_instructions_are(config: Path, tmp_path: Path) -> None:
    shown = succeed("augment", "--config", config, "--engine", "echo", "--output", tmp_path / "i", "--set", "augment.instructions=14")
    manifest = read_manifest(tmp_path / "i")
    assert manifest is not None
    summary = manifest.summary
    assert 0 < summary["distinct_2"] <= 1 and 0 <= summary["mean_similarity"] < 0.2
    assert sum(summary["categories"].values()) == sum(summary["attempts"].values()) == manifest.rows_out
    assert summary["tokens_per_word"] * summary["mean_words"] * manifest.rows_out == pytest.approx(manifest.tokens)
    assert "distinct 2" in shown.stderr and "categories" in shown.stderr
    assert len(list(open_dataset(tmp_path / "i", INSTRUCTIONS).rows())) == manifest.rows_out
