"""Instructions of several lines in the release: where a demand is put, and what a rewritten one must keep."""

from __future__ import annotations

import json
import random

import pytest
from lengthen.augment.contamination import BenchmarkIndex
from lengthen.augment.release.insert import candidates
from lengthen.augment.release.phrasing import load_phrasing
from lengthen.augment.release.reading import is_only_demand, read_demands
from lengthen.augment.release.rewrite import rewrite_rejection
from lengthen.augment.seeding import load_seeds
from lengthen.common.engine.protocol import Completion
from lengthen.common.method.benchmark.files import BenchmarkFile
from lengthen.common.method.demand import Demand
from lengthen.common.text.duplicates import NearDuplicates

NOTES = "Setting: a ferry in fog.\nHero: the cook.\n\nTell me the story of that night. Be quiet.\n\nNo:\n- storms\n1. Write it awake."
CHINESE = "地点：大雾中的渡船。\n主人公：厨师。\n\n请写那一夜的故事。要安静。\n\n避免：\n- 风暴\n1. 不要写梦。"


@pytest.mark.parametrize(("language", "instruction"), [("en", NOTES), ("zh", CHINESE)])
def test_the_demand_goes_into_the_sentence_that_asks_for_a_text(language: str, instruction: str) -> None:
    phrase = "about 300 words" if language == "en" else "约300字"
    found = candidates(instruction, phrase, load_phrasing(language))
    changed = {line for text in found for line in set(text.split("\n")) - set(instruction.split("\n"))}
    [request] = [line for line in instruction.split("\n") if line.startswith(("Tell", "请"))]
    rest = "Be quiet." if language == "en" else "要安静。"
    assert found and all(line.endswith(rest) and len(line) > len(request) for line in changed)
    assert any("that night in about 300 words." in text or "请写约300字的那一夜" in text for text in found)


@pytest.mark.parametrize("instruction", ["Topic: tides\n- causes\n- heights", "## Tides\n\n| cause | height |\n| moon | 3 m |"])
def test_notes_without_a_request_take_no_phrase(instruction: str) -> None:
    assert candidates(instruction, "about 300 words", load_phrasing("en")) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_demand_is_readable_in_every_seed_on_a_line_of_its_own_or_inside(language: str) -> None:
    phrasing, demand, rng = load_phrasing(language), Demand("about", 3000), random.Random(1)
    for seed in load_seeds([language], None):  # type: ignore[list-item]
        phrase = phrasing.phrase(demand, rng)
        inside = candidates(seed.instruction, phrase, phrasing)
        assert inside and any(is_only_demand(read_demands(text, language), demand) for text in inside)
        added = phrasing.add_sentence(seed.instruction, phrase, rng)
        assert is_only_demand(read_demands(added, language), demand)
        assert set(seed.instruction.split("\n")) <= set(added.split("\n")) or "\n" not in seed.instruction


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (NOTES.replace("of that night", "of that night in about 300 words"), None),
        (NOTES.replace("of that night", "of that night in about 300 words").replace("\n- ", " - "), "a line removed"),
        (" ".join(NOTES.replace("of that night", "of that night in about 300 words").split()), "a line removed"),
        (NOTES.replace("of that night", "of that night in about 300 words").replace("\n\n", "\n"), None),
    ],
)
def test_a_rewritten_instruction_keeps_its_lines(text: str, reason: str | None) -> None:
    found = rewrite_rejection(text, Completion(text, 90, "stop"), NOTES, Demand("about", 300), "en", frozenset())
    assert (found.detail if found else None) == reason


@pytest.mark.parametrize("instruction", [NOTES, CHINESE])
def test_lines_do_not_hide_a_duplicate_or_a_benchmark_prompt(instruction: str) -> None:
    flat = " ".join(instruction.split())
    known = NearDuplicates(0.7)
    known.add("a", flat)
    assert known.nearest(instruction)
    near = BenchmarkIndex([BenchmarkFile("mine", json.dumps({"prompt": flat}), "mine.jsonl")]).nearest(instruction)
    assert near and near.share > 0.9
