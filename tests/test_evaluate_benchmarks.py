"""Benchmarks: the built-in one with the config's lengths, and files in the published formats, with short examples of each."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tiny
from conftest import refused, rows, succeed
from hypothesis import given, settings
from hypothesis import strategies as st
from lengthen.common.config.load import Config, load_config
from lengthen.common.method.demand import KINDS, Kind
from lengthen.evaluate.benchmark import demand_of, demand_phrase, load_benchmark, load_forgetting, load_ruler
from lengthen.evaluate.item import evenly_spaced

LONGEN = [
    {"language": "en", "range": "2-4k", "type": "about", "constraint": "around 2,000 words", "query": "Write of rain: 2,000 words."},
    {"language": "en", "range": "2-4k", "type": "range", "constraint": "2000-3000 words", "query": "Write of snow in 2000-3000 words."},
    {"language": "zh", "range": "4-6k", "type": "above", "constraint": "大于4000字", "query": "请写一篇关于雨的文章，大于4000字。"},
    {"language": "zh", "range": "6-8k", "type": "below", "constraint": "小于8000字", "query": "请写一篇关于雪的文章，小于8000字。"},
]  # fmt: skip
LONGBENCH = [
    {"prompt": "Describe a river in 100 words.", "type": "Popular Science", "length": 100},
    {"prompt": "请写一篇300字的日记。", "type": "Functional Writing", "length": 300},
    {"prompt": "Write a 5000-word novel.", "type": "Literature", "length": 5000},
]
RULER = [{"prompt": f"Write a {length}-word guide to a town", "type": "科普介绍", "length": length} for length in (1000, 2000, 5000)] + [
    {"prompt": f"写一篇{length}字的城市指南", "type": "科普介绍", "length": length} for length in (1000, 2000, 5000)
]


@pytest.fixture
def settings_file(tmp_path: Path, model: Path) -> Config:
    lengths = [[100, 200], [200, 400], [400, 600]]
    return load_config(
        tiny.write_config(tmp_path / "c.yaml", model, languages=["en", "zh"], evaluate={"lengths": lengths, "ruler": [70, 90]})
    )


def lines(path: Path, content: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in content))
    return path


def test_the_built_in_benchmark_has_every_kind_range_and_category_in_both_languages(settings_file: Config) -> None:
    cases, _ = load_benchmark(None, settings_file)
    for language in ("en", "zh"):
        mine = [case for case in cases if case.language == language]
        cells = {(case.demand.kind, case.range) for case in mine if case.demand}
        assert cells == {(kind, ends) for kind in KINDS for ends in ("100-200", "200-400", "400-600")}
        assert len({case.category for case in mine}) == 7
    assert len({case.id for case in cases}) == len(cases) == 56


def test_a_built_in_prompt_has_the_length_that_scores_it(settings_file: Config) -> None:
    for case in load_benchmark(None, settings_file)[0]:
        assert case.demand is not None
        numbers = case.demand.length if isinstance(case.demand.length, tuple) else (case.demand.length,)
        assert tuple(map(int, re.findall(r"\d+", case.prompt))) == numbers, case.prompt


def test_only_prompts_in_the_configs_languages_are_loaded(config: Path) -> None:
    assert {case.language for load in (load_ruler, load_forgetting) for case in load(load_config(config))} == {"en"}
    assert {case.language for case in load_benchmark(None, load_config(config))[0]} == {"en"}


# The words that mean each kind to a reader. The reference code swaps the labels of above and below.
MEANING = {
    "en": {"about": r"about (\d+) words", "range": r"(\d+) to (\d+) words", "above": r"more than (\d+) words",
           "below": r"fewer than (\d+) words"},
    "zh": {"about": r"(\d+)字左右", "range": r"(\d+)至(\d+)字", "above": r"(\d+)字以上", "below": r"(\d+)字以内"},
}  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(KINDS), language=st.sampled_from(["en", "zh"]), low=st.integers(10, 9000), more=st.integers(10, 9000))
def test_the_words_of_a_demand_agree_with_its_bounds(kind: Kind, language: str, low: int, more: int) -> None:
    demand = demand_of(kind, low, low + more)
    words_found = re.fullmatch(MEANING[language][kind], demand_phrase(demand, language))
    assert words_found, demand_phrase(demand, language)
    numbers = [int(number) for number in words_found.groups()]
    if kind == "above":
        assert demand.lower == numbers[0]
    elif kind == "below":
        assert demand.upper == numbers[0]
    elif kind == "range":
        assert [demand.lower, demand.upper] == numbers
    else:
        assert demand.lower < numbers[0] < demand.upper


def test_longen_files_are_read(tmp_path: Path, settings_file: Config) -> None:
    cases, _ = load_benchmark(lines(tmp_path / "longen.jsonl", LONGEN), settings_file)
    assert {case.format for case in cases} == {"LonGen"}
    found = [(case.language, case.range, case.demand.kind, case.demand.lower, case.demand.upper) for case in cases if case.demand]
    assert found == [
        ("en", "2-4k", "about", 1600, 2400), ("en", "2-4k", "range", 2000, 3000),
        ("zh", "4-6k", "above", 4000, 6000), ("zh", "6-8k", "below", 4000, 8000),
    ]  # fmt: skip
    assert cases[2].prompt == LONGEN[2]["query"]


def test_longbench_write_files_are_read(tmp_path: Path, settings_file: Config) -> None:
    cases, _ = load_benchmark(lines(tmp_path / "lb.jsonl", LONGBENCH), settings_file)
    found = [(case.format, case.language, case.category, case.range, case.demand.required) for case in cases if case.demand]
    assert found == [
        ("LongBench-Write", "en", "Popular Science", "under 500", 100),
        ("LongBench-Write", "zh", "Functional Writing", "under 500", 300),
        ("LongBench-Write", "en", "Literature", "4k and more", 5000),
    ]


def test_a_ruler_file_is_distinguished_from_longbench_write(tmp_path: Path, settings_file: Config) -> None:
    cases, _ = load_benchmark(lines(tmp_path / "ruler.jsonl", RULER), settings_file)
    assert {(case.format, case.range) for case in cases} == {("LongWrite-Ruler", str(length)) for length in (1000, 2000, 5000)}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([{"question": "x", "words": 5}], "has the fields 'question', 'words'; known formats are ours: "),
        ([{}], "has the fields none; known formats"),
        ([LONGEN[0], LONGBENCH[0]], "line 2 has the format LongBench-Write or LongWrite-Ruler, the lines before it have LonGen"),
        ([LONGEN[0] | {"constraint": "long"}], "constraint 'long' does not have the number of lengths that the type about needs"),
        ([LONGEN[1] | {"constraint": "2000 words"}], "does not have the number of lengths that the type range needs"),
        ([LONGEN[0] | {"language": "fr"}], "language: "),
        ([LONGBENCH[0] | {"length": 0}], "has no valid bounds"),
        ([LONGBENCH[0] | {"length": "many"}], "length: "),
        ([LONGEN[1] | {"constraint": "3000-2000 words"}], "has no valid bounds"),
    ],
)
def test_an_error_in_a_benchmark_file_names_the_line(tmp_path: Path, config: Path, content: list[dict[str, object]], problem: str) -> None:
    file = lines(tmp_path / "bench.jsonl", content)
    line = refused("evaluate", "--config", config, "--output", tmp_path / "o", "--engine", "echo", "--benchmark", file)
    assert "bench.jsonl, line " in line and problem in line


def test_messages_and_rows_name_the_format(tmp_path: Path, config: Path) -> None:
    file = lines(tmp_path / "mine.jsonl", LONGEN)
    result = succeed("evaluate", "--config", config, "--output", tmp_path / "o", "--engine", "echo", "--benchmark", file, "--limit", 2)
    assert "2 of mine (LonGen; en 1, zh 1)" in result.stderr
    found = [row for row in rows(tmp_path / "o", "scores") if row["part"] == "benchmark"]
    assert {(row["benchmark"], row["format"], row["language"]) for row in found} == {("mine", "LonGen", "en"), ("mine", "LonGen", "zh")}


def test_a_limit_takes_evenly_spaced_prompts() -> None:
    assert evenly_spaced(list(range(240)), 8) == [0, 30, 60, 90, 120, 150, 180, 210]
    assert evenly_spaced([1, 2], 8) == evenly_spaced([1, 2], None) == [1, 2]
