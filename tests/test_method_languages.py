"""Chinese and English: seeds, prompts, wording, the echo engine, and a tokenizer without Chinese words."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import ROOT, refused, rows, succeed
from lengthen.augment.grow import make_slots
from lengthen.augment.seeding import load_seeds
from lengthen.augment.wording import load_wording
from lengthen.common.config.engine import Echo, Model
from lengthen.common.config.load import Config
from lengthen.common.engine.chat import Chat
from lengthen.common.engine.echo import EchoEngine
from lengthen.common.engine.protocol import Completion, Prompt, SamplingParameters
from lengthen.common.method.extend.prompt import load_extend_prompt
from lengthen.common.method.prompt_file import load_prompt
from lengthen.common.stage.job import Job
from lengthen.common.store.manifest import read_manifest
from lengthen.common.text.languages import LANGUAGES, detect
from lengthen.common.text.words import count_words

EMBEDDED = ROOT / "models" / "smollm2-135m-instruct"  # built by `make test`
CATEGORIES = {
    "literature and creative writing",
    "academic research",
    "business communication",
    "journalism and media",
    "miscellaneous professional writing",
    "personal expression",
    "technical documentation",
}
TEXT = "河水在桥下慢慢地流。\n\n“是吗?”她问,《红楼梦》里有 3 个 cats 吗?\n\n## 结尾\n\n— 𠮷野家。"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_each_language_has_forty_seeds_in_the_papers_seven_categories(language: str) -> None:
    seeds = load_seeds([language], None)  # type: ignore[list-item]
    assert len({seed.instruction for seed in seeds}) >= 40
    assert {detect(seed.instruction) for seed in seeds} == {language}
    assert min(Counter(seed.category for seed in seeds).values()) >= 5
    assert {seed.category for seed in seeds} == CATEGORIES


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_each_language_has_every_prompt_in_that_language(language: str) -> None:
    prompts = [
        load_prompt("lengthen.augment", f"propose.{language}.txt", {"examples"}),
        load_prompt("lengthen.augment", f"judge.{language}.txt", {"instruction"}),
        load_extend_prompt(language),
        load_extend_prompt(language, half=True),
    ]
    for prompt in prompts:
        assert detect(prompt.fill(**dict.fromkeys(prompt.variables, ""))) == language
    wording = load_wording(language)
    assert wording.yes and wording.no and "7" in wording.item(7)


def test_every_prompt_and_seed_file_has_a_known_language() -> None:
    found = {path.name.split(".")[-2] for path in ROOT.glob("**/src/lengthen/**/prompts/*.*.*")}
    assert found == {path.stem for path in ROOT.glob("stages/augment/src/lengthen/augment/seeds/*.jsonl")} == set(LANGUAGES)


def test_slots_are_divided_evenly_among_languages_and_categories() -> None:
    job = Job("augment", Config(model=Model(path=Path("none")), languages=["en", "zh"]), Path("out"), 2, "echo")
    found = make_slots(job, 28, {"en": sorted(CATEGORIES), "zh": sorted(CATEGORIES)})
    assert len({slot.task.id for slot in found}) == 28
    assert set(Counter((slot.task.source, slot.category) for slot in found).values()) == {2}


@pytest.mark.parametrize("text", [TEXT, "写一篇散文。", "Mixed 中文 and English."])
@pytest.mark.parametrize("name", ["tiny", "SmolLM2"])
def test_a_byte_level_tokenizer_preserves_chinese(model: Path, name: str, text: str) -> None:
    """Both models are English; their byte-level tokenizers have no Chinese words, but lose no characters."""
    chat = Chat(model if name == "tiny" else EMBEDDED)
    ids = chat.encode(Prompt("请写一篇文章。", text + "\n\n"))
    assert chat.tokenizer.decode(ids) == chat.render(Prompt("请写一篇文章。", text + "\n\n"))
    prompt, answer = chat.encode_example(Prompt("请写一篇文章。"), text)
    assert chat.tokenizer.decode(answer) == text + chat.tokenizer.eos_token
    assert chat.tokenizer.decode(prompt + answer).startswith(chat.render(Prompt("请写一篇文章。", text)))


def echo(user: str, seed: int = 1, **settings: float) -> str:
    import asyncio

    engine = EchoEngine(Config(model=Model(path=Path("none"), max_model_len=4096), echo=Echo(**settings)))  # type: ignore[arg-type]
    sampling = SamplingParameters(0.7, 0.8, 20, 1.0, 4000, seed)
    return asyncio.run(engine.complete(Prompt(user), sampling)).text


def test_echo_answers_in_the_language_of_the_prompt() -> None:
    chinese = echo("请写一篇关于河流的长文,讲讲它的历史。", words=300, growth=0)
    assert detect(chinese) == "zh" and chinese.endswith("。") and "\n\n" in chinese
    assert 200 < count_words(chinese) < 450
    assert detect(echo("Write a long text about the history of the river.")) != "zh"
    assert echo("请写一篇长文。") == echo("请写一篇长文。") != echo("请写一篇长文。", seed=2)


def test_both_languages_go_through_augment_generate_and_expand_together(tmp_path: Path, model: Path) -> None:
    config = tiny.write_config(
        tmp_path / "c.yaml",
        model,
        languages=["en", "zh"],
        augment={"instructions": 14},
        echo={"words": 60, "loop_share": 0.1},
        expand={"sampling": {"max_tokens": 1000}},
    )
    common = ("--config", config, "--engine", "echo")
    succeed("augment", *common, "--output", tmp_path / "i")
    succeed("generate", *common, "--input", tmp_path / "i", "--output", tmp_path / "r")
    succeed("expand", *common, "--input", tmp_path / "r", "--output", tmp_path / "e")
    for folder, table, column in (("i", "instructions", "instruction"), ("r", "responses", "response"), ("e", "expansions", "expansion")):
        found = Counter(row["language"] for row in rows(tmp_path / folder, table))
        assert found["zh"] >= 4 and found["en"] >= 4, (folder, found)
        for row in rows(tmp_path / folder, table):
            assert (detect(row[column]) == "zh") == (row["language"] == "zh")
    manifest = read_manifest(tmp_path / "i")
    assert manifest is not None and manifest.summary["languages"] == {"en": 7, "zh": 7}
    assert manifest.summary["categories"] == dict.fromkeys(CATEGORIES, 2)
    parents = {parent for row in rows(tmp_path / "i", "instructions") if row["language"] == "zh" for parent in row["parents"]}
    assert parents and all(parent.startswith("seed-zh-") for parent in parents)


def test_rows_in_a_language_missing_in_the_config_are_refused(tmp_path: Path, model: Path) -> None:
    config = tiny.write_config(tmp_path / "c.yaml", model, languages=["zh"], augment={"instructions": 3}, echo={"words": 60})
    english = tiny.write_config(tmp_path / "en.yaml", model)
    common = ("--engine", "echo")
    succeed("augment", "--config", config, *common, "--output", tmp_path / "i")
    succeed("generate", "--config", config, *common, "--input", tmp_path / "i", "--output", tmp_path / "r")
    for stage, source in (("generate", "i"), ("expand", "r")):
        line = refused(stage, "--config", english, *common, "--input", tmp_path / source, "--output", tmp_path / "out")
        assert "has rows in zh" in line and "languages" in line


def test_an_instruction_in_another_language_than_its_slots_is_rejected(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def always_english(self: Any, prompt: Prompt, sampling: Any, **rest: Any) -> Completion:
        return Completion(f" Write an essay on why the number {sampling.seed} matters to the people of a small town.", 9, "stop")

    monkeypatch.setattr(EchoEngine, "complete", always_english)
    more = {"instructions": 4, "max_similarity": 1.0}
    config = tiny.write_config(tmp_path / "c.yaml", model, languages=["en", "zh"], augment=more)
    shown = succeed("augment", "--config", config, "--engine", "echo", "--output", tmp_path / "i").stderr
    assert "language 2" in shown
    assert {row["language"] for row in rows(tmp_path / "i", "instructions")} == {"en"}


def test_seeds_without_a_category_are_accepted(tmp_path: Path, config: Path) -> None:
    seeds = [{"id": f"s{n}", "language": "en", "instruction": f"Write an essay about subject number {n}."} for n in range(3)]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(seed) + "\n" for seed in seeds))
    succeed("augment", "--config", config, "--engine", "echo", "--seeds", tmp_path / "seeds.jsonl", "--output", tmp_path / "i")
    assert {row["category"] for row in rows(tmp_path / "i", "instructions")} == {""}
