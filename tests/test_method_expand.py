"""Expand: what phase 1 is asked, rounds that fail or no longer fit, and what an expansion retains of its draft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench.makespan import TimedEcho, simulate
from conftest import ROOT, response_row, rows, succeed, write
from lengthen.common.config.engine import Model
from lengthen.common.config.load import Config, load_config
from lengthen.common.config.row_lengths import over_long_rows
from lengthen.common.engine.protocol import Completion, Prompt, PromptTooLong, SamplingParameters
from lengthen.common.method.extend.prompt import extend_prompt, load_extend_prompt
from lengthen.common.process.errors import TransientError
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.reader import open_dataset
from lengthen.common.tables.definitions import EXPANSIONS, RESPONSES
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.rejection import Rejection
from lengthen.expand.retention import headings, kept_headings, kept_names, names
from test_attempts import parts, without_times
from test_method import DRAFT, Scripted, expand_one, paragraphs

FULL = PromptTooLong("41 tokens of prompt in a context of 40")


class Bounded(Scripted):
    """A scripted engine whose answer may be that the prompt is too long."""

    def __init__(self, *answers: str | PromptTooLong) -> None:
        super().__init__(*answers)  # type: ignore[arg-type]

    async def complete(self, prompt: Prompt, sampling: SamplingParameters, **rest: Any) -> Completion:
        if isinstance(self.answers[0], PromptTooLong):
            raise self.answers.pop(0)  # type: ignore[misc]
        return await super().complete(prompt, sampling, **rest)


def tokens(*texts: str) -> int:
    return sum(len(text.split()) for text in texts)


@pytest.mark.parametrize(("language", "part", "end"), [("en", "first part", "ending"), ("zh", "第一部分", "结尾")])
def test_phase_1_is_told_that_it_has_a_part_and_phase_2_and_training_that_they_have_the_whole(language: str, part: str, end: str) -> None:
    whole, half = (extend_prompt(language, "Describe a harbour.", DRAFT, half=half) for half in (False, True))
    assert part in half and part not in whole and end in half and end not in whole
    assert "Paragraph four" in whole and "Paragraph four" not in half


def test_each_language_has_both_forms_of_the_prompt() -> None:
    folder = ROOT / "common/src/lengthen/common/method/extend/prompts"
    assert {path.name for path in folder.iterdir()} == {f"{form}.{name}.txt" for form in ("extend", "extend_half") for name in LANGUAGES}


@pytest.mark.parametrize("half", [True, False])
def test_a_text_with_the_words_of_either_prompt_is_rejected(half: bool) -> None:
    sentence = load_extend_prompt("en", half=half).text.split("\n")[2].split(". ")[1]
    outcome = expand_one(Scripted(paragraphs(6, "a"), f"{sentence}.\n\n{paragraphs(6, 'b')}"), rounds=1, attempts=1)
    assert isinstance(outcome, Rejection) and outcome.reason == "prompt_leak"


@pytest.mark.parametrize("nothing", ["", " \n\n\t", "\u3000\n"])
def test_a_round_whose_phase_2_writes_nothing_has_failed(nothing: str) -> None:
    opening, rest = paragraphs(9, "a"), paragraphs(6, "b")
    outcome = expand_one(Scripted(opening, nothing), rounds=1, attempts=1)
    assert outcome == Rejection("empty", "in phase 2", "", 1, tokens(opening))
    engine = Scripted(opening, nothing, opening, rest)
    row = expand_one(engine, rounds=2, attempts=1)
    assert engine.requests[0][0] == engine.requests[2][0]  # the draft is still the response
    assert isinstance(row, dict) and row["expansion"].endswith(rest)


@pytest.mark.parametrize("before", [[], [paragraphs(6, "e")]], ids=["phase 1", "phase 2"])
def test_a_later_round_that_does_not_fit_ends_the_rounds_and_the_longest_text_counts(before: list[str]) -> None:
    made = [paragraphs(6, "a"), paragraphs(4, "b"), paragraphs(6, "c"), paragraphs(9, "d")]
    engine = Bounded(*made, *before, FULL, paragraphs(30, "f"))
    row = expand_one(engine, rounds=5, attempts=3)
    assert isinstance(row, dict) and row["expansion"].endswith(made[3])
    assert (row["rounds"], row["attempts"], row["tokens"], row["finish_reason"]) == (2, 1, tokens(*made, *before), "stop")
    assert engine.answers == [paragraphs(30, "f")]  # no request after it


def test_a_row_whose_first_prompt_does_not_fit_is_rejected_at_once() -> None:
    engine = Bounded(FULL, paragraphs(6, "a"))
    assert expand_one(engine, rounds=3, attempts=5) == Rejection("over_context", str(FULL), "", 1, 0)
    assert len(engine.answers) == 1


def test_an_opening_that_does_not_fit_fails_its_attempt_only() -> None:
    """The next attempt may have a shorter one."""
    long, short, rest = paragraphs(30, "a"), paragraphs(6, "b"), paragraphs(6, "c")
    row = expand_one(Bounded(long, FULL, short, rest), rounds=3, attempts=2, target_growth=1.5)
    assert isinstance(row, dict) and (row["attempts"], row["tokens"]) == (2, tokens(long, short, rest))
    outcome = expand_one(Bounded(long, FULL, long, FULL), rounds=3, attempts=2)
    assert outcome == Rejection("over_context", f"{FULL}, in round 1", "", 2, 2 * tokens(long))


def test_a_text_that_has_grown_too_little_when_the_context_is_full_is_rejected_for_its_growth() -> None:
    made = [paragraphs(6, "a"), paragraphs(4, "b")]
    outcome = expand_one(Bounded(*made, FULL), rounds=3, attempts=1, min_growth=9.0)
    assert isinstance(outcome, Rejection) and outcome.reason == "growth" and outcome.text.endswith(made[1])


def small_context() -> Config:
    """Of 16 drafts of 20 to 56 words most grow until a prompt does not fit."""
    settings: dict[str, Any] = {
        "check": {"min_words": 10},
        "engine": {"rows_in_flight": 6, "max_num_seqs": 6},
        "echo": {"words": 80, "growth": 0.5, "cut_share": 0.2},
        "expand": {"attempts": 3, "rounds": 6, "sampling": {"max_tokens": 150, "repetition_penalty": 1.0}},
    }
    return Config(model=Model(path=Path("none"), max_model_len=280), **settings)


def test_rows_that_fill_the_context_are_the_same_however_often_the_stage_fails(tmp_path: Path) -> None:
    full: list[int] = []

    class Failing(TimedEcho):
        left = 0

        async def complete(self, prompt: Prompt, sampling: SamplingParameters, **rest: Any) -> Completion:
            if self.left == 0:
                raise TransientError("the engine lost its GPU")
            self.left -= 1
            try:
                return await super().complete(prompt, sampling, **rest)
            except PromptTooLong:
                full.append(sampling.seed)
                raise

    config, runs = small_context(), 0
    simulate("expand", tmp_path / "whole", 16, config)
    while read_manifest(tmp_path / "d") is None:
        runs, Failing.left = runs + 1, 40
        try:
            simulate("expand", tmp_path / "d", 16, config, Failing)
        except TransientError as error:
            assert "lost its GPU" in str(error)
    assert runs > 2 and full
    assert parts(tmp_path / "d") == parts(tmp_path / "whole")
    assert without_times(tmp_path / "d") == without_times(tmp_path / "whole")
    made, rejected = rows(tmp_path / "d", "expansions"), list(open_dataset(tmp_path / "d", EXPANSIONS).rejected())
    assert len(made) + len(rejected) == 16
    assert len([row for row in made if row["rounds"] < 6]) > 4 and {row["finish_reason"] for row in made} == {"stop"}
    assert all(row["attempts"] and row["tokens"] for row in [*made, *rejected])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# The Sea\n\ntext\n\n## 2. Ships and Sails ##\n\ntext", ["the sea", "ships and sails"]),
        ("**Trade routes:**\n\ntext\n\n1. **Goods**\n\nA **bold** word is none.", ["trade routes", "goods"]),
        ("第一章 春天\n\n文字。\n\n二、来历\n\n三、这一句话是正文,不是标题。", ["春天", "来历"]),
        ("No heading here.\n\n#hashtag\n\n1. An item", []),
    ],
)
def test_headings_are_found_without_markdown_and_numbering(text: str, found: list[str]) -> None:
    assert headings(text) == found


def test_only_headings_in_the_drafts_order_count() -> None:
    draft = "# One\n\n# Two\n\n# Three\n\n# Four"
    assert kept_headings(draft, "# One\n\n# Two\n\n## More\n\n# 3. Three\n\n**Four**") == 1.0
    assert kept_headings(draft, "# Four\n\n# One\n\n# Two") == 0.5
    assert kept_headings(draft, "One, two, three and four without headings.") == 0.0
    assert kept_headings("No headings.", draft) is None


def test_names_are_capitalised_words_titles_and_numbers() -> None:
    english = "The Bank of England was founded in 1694. William Paterson had 3 ideas; 4.5% was one. He said so."
    assert names(english, "en") == {"Bank of England", "1694", "William Paterson", "4.5%"}
    assert names("他在1920年读《红楼梦》,想起“山河”。", "zh") == {"1920", "红楼梦", "山河"}


def test_each_name_counts_once_anywhere_in_the_text() -> None:
    draft = "William Paterson came in 1694. William Paterson left for the New World in 1698."
    assert kept_names(draft, "In 1694, William Paterson saw the New World.", "en") == pytest.approx(3 / 4)
    assert kept_names("nothing here", draft, "en") is None
    assert kept_names("他读《红楼梦》和《西游记》。", "《红楼梦》很长。", "zh") == 0.5


def test_an_expansion_has_both_shares_and_the_manifest_their_means(config: Path, tmp_path: Path) -> None:
    draft = "# Ships\n\nIn 1694 the Royal Fleet sailed.\n\n# Harbours\n\nThey were many."
    opening = "# Ships\n\nIn 1694 they sailed out to sea.\n\n" + paragraphs(3, "a")
    row = expand_one(Scripted(opening, paragraphs(6, "b")), draft=draft, rounds=1, attempts=1)
    assert isinstance(row, dict)
    assert (row["kept_headings"], row["kept_names"]) == (0.5, 0.5)
    words = " ".join(f"word{n}" for n in range(30))
    content = [response_row(n, f"# Title {n}\n\nNumber {n} {words}.") for n in range(3)]
    folder = write(tmp_path / "r", RESPONSES, content)
    arguments = ("--config", config, "--engine", "echo", "--input", folder, "--output", tmp_path / "e")
    succeed("expand", *arguments, "--set", "expand.length_biased_selection=false", "--set", "expand.max_similarity=1.0")
    manifest = read_manifest(tmp_path / "e")
    assert manifest is not None and manifest.summary["kept_headings"] == 0.0 and manifest.summary["kept_names"] is None
    assert {row["kept_names"] for row in rows(tmp_path / "e", "expansions")} == {None}


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.yaml")), ids=lambda path: path.stem)
def test_no_config_of_ours_has_rows_that_finetune_would_reject_for_their_length(path: Path) -> None:
    assert not over_long_rows(load_config(path))
    assert not over_long_rows(Config(model=Model(path=Path("none"))))


def test_a_limit_of_finetune_below_the_longest_row_is_told_before_the_row_is_made(tmp_path: Path, config: Path) -> None:
    settings = ["finetune.max_tokens_generator=600", "finetune.max_tokens_extender=900"]
    lines = over_long_rows(load_config(config, settings))
    assert [line.split()[0] for line in lines] == ["finetune.max_tokens_generator", "finetune.max_tokens_extender"]
    assert not over_long_rows(load_config(config, [*settings, "model.max_model_len=600"]))  # no row is longer than the context
    assert not over_long_rows(load_config(config, [*settings, "expand.sampling.max_tokens=120"]))
    folder = write(tmp_path / "r", RESPONSES, [response_row(1, DRAFT)])
    arguments = ("--config", config, "--engine", "echo", "--input", folder, "--output", tmp_path / "e", "--dry-run")
    shown = succeed("expand", *arguments, "--set", settings[0]).stderr.splitlines()
    assert shown[0] == f"expand: WARNING: {lines[0]}" and len(shown) == 2
