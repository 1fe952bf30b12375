"""The pool grows in waves: what a wave draws from, and that neither the order of requests nor a stop changes the result."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import refused, rows, run, succeed
from lengthen.augment.contamination import BenchmarkIndex
from lengthen.augment.grow import Grower, Slot, make_slots
from lengthen.augment.pool import Pool
from lengthen.augment.propose import load_prompts
from lengthen.augment.seeding import Example
from lengthen.common.config.load import Config
from lengthen.common.engine.echo import EchoEngine
from lengthen.common.engine.protocol import Completion, Prompt, PromptTooLong
from lengthen.common.process.errors import TransientError
from lengthen.common.stage.job import Job
from lengthen.common.store.manifest import read_manifest
from lengthen.common.text.rejection import Rejection

WAVE = 8


class Chaotic:
    """An engine whose requests return in a random order. A quarter of its proposals is too short; the others are accepted."""

    def __init__(self, order: int) -> None:
        self.delays = random.Random(order)
        self.calls: list[tuple[str, str]] = []

    def row(self, name: str) -> Any:
        async def complete(call: str, prompt: Prompt, sampling: Any, watch: Any) -> Completion:
            await asyncio.sleep(self.delays.random() / 1000)
            self.calls.append((name, call))
            dice = random.Random(name + call)
            words = " ".join("".join(dice.choices(("ba", "de", "fi", "go", "lu"), k=3)) for _ in range(dice.choice((2, 8, 8, 50))))
            return Completion(f" {words}", 9, "stop")

        async def score(call: str, prompt: Prompt, continuations: list[str]) -> list[float]:
            await asyncio.sleep(self.delays.random() / 1000)
            return [-1.0] + [-2.0] * (len(continuations) - 1)

        return SimpleNamespace(complete=complete, score=score, control_tokens=frozenset())


def grow(
    count: int, order: int = 0, rows_in_flight: int = 5, **settings: Any
) -> tuple[list[dict[str, Any]], list[tuple[str, str]], list[str]]:
    """The outcomes in the order in which they were recorded, the engine's calls, and the slots' ids."""
    config = Config.model_validate(
        {"model": {"path": "none"}, "engine": {"rows_in_flight": rows_in_flight}, "augment": {"wave": WAVE} | settings}, strict=False
    )
    job = Job("augment", config, Path("none"), 1, "echo")
    pool, engine = Pool(0.7), Chaotic(order)
    seeds = [Example(f"seed-{n}", "en", "essay", f"Write an essay about subject number {n} of the list.") for n in range(4)]
    for seed in seeds:
        pool.add_known(seed)
        pool.add_example(seed)
    slots = make_slots(job, count, {"en": ["essay"]})
    ids, found = [slot.task.id for slot in slots], []
    grower = Grower(job, engine, pool, BenchmarkIndex([]), {"en": load_prompts("en")})  # type: ignore[arg-type]

    def record(slot: Slot, outcome: dict[str, Any] | Rejection) -> None:
        found.append({"id": slot.task.id} | (outcome if isinstance(outcome, dict) else outcome._asdict()))

    asyncio.run(grower.grow(slots, record))
    return found, engine.calls, ids


def test_the_pool_does_not_depend_on_the_order_in_which_requests_return() -> None:
    first, calls, _ = grow(40)
    for order, rows_in_flight in ((1, 5), (2, 1), (3, 64)):
        again, other_calls, _ = grow(40, order, rows_in_flight)
        assert again == first and sorted(other_calls) == sorted(calls)
        assert order == 2 or other_calls != calls  # they did return in another order


def test_a_wave_is_the_first_open_slots_and_draws_from_the_waves_before() -> None:
    found, _, ids = grow(40, attempts=3)
    outcomes = {row["id"]: row for row in found}
    pool, from_the_last_wave = {f"seed-{n}" for n in range(4)}, 0
    accepted: list[str] = []  # in the last wave
    still_open = [(name, 1) for name in ids]
    while still_open:
        wave, later = still_open[:WAVE], still_open[WAVE:]
        closed = [name for name, attempt in wave if outcomes[name]["attempts"] == attempt]
        assert [row["id"] for row in found[: len(closed)]] == closed  # recorded in the order of the slots
        parents = [parent for name in closed for parent in outcomes[name].get("parents", ())]
        assert set(parents) <= pool
        from_the_last_wave += sum(parent in accepted for parent in parents)
        accepted = [name for name in closed if "parents" in outcomes[name]]
        pool |= set(accepted)
        found = found[len(closed) :]
        still_open = [(name, attempt + 1) for name, attempt in wave if name not in closed] + later
    assert not found and from_the_last_wave > 5


def test_without_growing_only_seeds_are_examples() -> None:
    found, _, _ = grow(20, grow_pool=False)
    assert {parent.partition("-")[0] for row in found for parent in row.get("parents", ())} == {"seed"}


def test_small_waves_use_more_different_prompts() -> None:
    different = [len({tuple(row["parents"]) for row in grow(80, wave=wave, attempts=1)[0] if "parents" in row}) for wave in (80, 8)]
    assert different[0] <= 12 < 40 < different[1]  # there are 12 ordered pairs of 4 seeds


def test_a_stage_that_ends_in_any_wave_resumes_with_the_same_result(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("--config", config, "--engine", "echo", "--set", "augment.instructions=30", "--set", "augment.wave=7")
    succeed("augment", *arguments, "--output", tmp_path / "whole")
    complete, calls = EchoEngine.complete, []

    async def failing(self: Any, prompt: Prompt, sampling: Any, **rest: Any) -> Completion:
        if len(calls) in (3, 11, 25):
            calls.append(-1)
            raise TransientError("the engine is down")
        calls.append(sampling.seed)
        return await complete(self, prompt, sampling, **rest)

    monkeypatch.setattr(EchoEngine, "complete", failing)
    codes = [run("augment", *arguments, "--output", tmp_path / "stopped", "--set", "engine.rows_in_flight=2").exit_code for _ in range(4)]
    assert codes == [75, 75, 75, 0]
    whole, stopped = read_manifest(tmp_path / "whole"), read_manifest(tmp_path / "stopped")
    assert whole and stopped and whole.content_digest == stopped.content_digest and whole.rejected == stopped.rejected
    assert rows(tmp_path / "whole", "instructions") == rows(tmp_path / "stopped", "instructions")


@pytest.mark.parametrize(
    ("language", "proposal", "words"),
    [("en", " Write a 300-word description of a lamp.", "300-word"), ("zh", "写一篇不超过五百字的寓言，主角是一盏灯。", "不超过五百字")],
)
def test_an_instruction_that_demands_a_length_is_rejected_with_its_words(
    language: str, proposal: str, words: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def complete(self: Any, prompt: Prompt, sampling: Any, **rest: Any) -> Completion:
        return Completion(proposal, 9, "stop")

    monkeypatch.setattr(EchoEngine, "complete", complete)
    arguments = ("--config", config, "--engine", "echo", "--set", f"languages=['{language}']", "--output", tmp_path / "i")
    assert "(own_demand 6)" in refused("augment", *arguments)
    from pyarrow.parquet import read_table

    details = [detail for path in (tmp_path / "i" / ".work").glob("rejected-*") for detail in read_table(path)["detail"].to_pylist()]
    assert details == [words] * 6


def test_examples_that_do_not_fit_cost_an_attempt_and_not_the_stage(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = EchoEngine.complete

    async def narrow(self: Any, prompt: Prompt, sampling: Any, **rest: Any) -> Completion:
        if sampling.seed % 3 == 0:
            raise PromptTooLong("9000 tokens of prompt in a context of 4096")
        return await complete(self, prompt, sampling, **rest)

    monkeypatch.setattr(EchoEngine, "complete", narrow)
    succeed("augment", "--config", config, "--engine", "echo", "--output", tmp_path / "i", "--set", "augment.instructions=12")
    assert max(row["attempts"] for row in rows(tmp_path / "i", "instructions")) > 1
