"""Attempts that begin ahead: the last rows of a stage don't wait for each other, and the rows are the same. The clock is virtual."""

from __future__ import annotations

import asyncio
import copy
import random
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tiny
from bench.makespan import TimedEcho, VirtualLoop, config_of, simulate
from conftest import instruction_row, succeed, write
from lengthen.common.engine.attempts import Attempts, first_accepted
from lengthen.common.engine.protocol import Completion, Prompt, SamplingParameters, WatchFunction
from lengthen.common.engine.recorded import RecordedEngine, RowEngine
from lengthen.common.process.errors import TransientError
from lengthen.common.stage.tasks import Task
from lengthen.common.store.call_log import CALLS, CallLog
from lengthen.common.store.journal import Journal
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.shards import seal
from lengthen.common.tables.definitions import INSTRUCTIONS
from lengthen.common.text.rejection import Rejection
from lengthen.expand.order import longest_first
from lengthen.generate.figures import FIGURES
from test_survival import KILLS, command, lock_owner, parts, start, without_times

SAMPLING = SamplingParameters(0.7, 0.8, 20, 1.1, 100, 0)
Outcome = str | BaseException | None  # of an attempt: a text, an error, or a rejection


class Clock:
    """An engine whose requests generate a token a second, as many as the prompt says."""

    control_tokens: frozenset[str] = frozenset()

    async def complete(
        self, prompt: Prompt, sampling: SamplingParameters, *, watch: WatchFunction | None = None, **rest: Any
    ) -> Completion:
        for second in range(1, int(prompt.user) + 1):
            await asyncio.sleep(1)
            if watch and (reason := watch("word ")):
                return Completion("word " * second, second, reason)
        return Completion("word " * second, second, "stop")


def decide(script: list[tuple[int, Outcome]], places: int) -> tuple[dict[str, Any] | Rejection, float, CallLog]:
    """Make a row whose attempts have these seconds and outcomes. Returns the row, the seconds and the calls. No task may be left."""
    log = CallLog(Journal(Path(), Path(), CALLS, 1000, 1000.0))  # type: ignore[arg-type]
    problems: list[dict[str, Any]] = []

    async def attempt(number: int, engine: RowEngine) -> dict[str, Any] | Rejection:
        seconds, outcome = script[number - 1]
        await engine.complete(str(number), Prompt(str(seconds)), SAMPLING)
        if isinstance(outcome, BaseException):
            raise outcome
        return {"text": outcome} if outcome else Rejection("empty", str(number))

    async def run() -> tuple[dict[str, Any] | Rejection, float]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        attempts = Attempts(places)
        asyncio.get_running_loop().call_soon(attempts.fill_from_now)  # when the row has begun
        engine = RecordedEngine(Clock(), log, attempts=attempts)  # type: ignore[arg-type]
        try:
            return await first_accepted(engine.row("a" * 32), len(script), attempt), asyncio.get_running_loop().time()
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()} and attempts.running == 0 and not attempts.open

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        made, seconds = runner.run(run())
    assert not problems
    return made, seconds, log


def test_the_first_accepted_attempt_by_number_counts_whichever_ends_first() -> None:
    script: list[tuple[int, Outcome]] = [(5, None), (3, "two"), (1, "three"), (9, "four")]
    assert decide(script, 0)[:2] == ({"text": "two", "attempts": 2, "tokens": 8}, 8)
    made, seconds, log = decide(script, 4)
    assert (made, seconds) == ({"text": "two", "attempts": 2, "tokens": 8}, 5)
    assert log.tokens_ahead == 1 + 2  # the third, and the fourth until it was aborted, a token after the third was accepted
    assert log.tokens == 8 + 3


def test_a_row_without_an_accepted_attempt_has_the_last_ones_rejection() -> None:
    script: list[tuple[int, Outcome]] = [(5, None), (3, None), (1, None)]
    for places, seconds in ((0, 9), (2, 5), (3, 5)):
        made, took, log = decide(script, places)
        assert (made, took, log.tokens_ahead) == (Rejection("empty", "3", "", 3, 9), seconds, 0)


def test_an_error_counts_if_its_attempt_does() -> None:
    failing = TransientError("the engine lost its GPU")
    assert decide([(3, "one"), (1, failing)], 2)[0] == {"text": "one", "attempts": 1, "tokens": 3}
    for places in (0, 1, 2, 3):
        with pytest.raises(TransientError, match="lost its GPU"):
            decide([(3, None), (1, failing), (9, "three")], places)


def test_a_request_that_gives_no_token_does_not_hold_its_row() -> None:
    class Silent(Clock):
        async def complete(self, prompt: Prompt, sampling: SamplingParameters, **rest: Any) -> Completion:
            await asyncio.sleep(int(prompt.user))
            return Completion("word", 1, "stop")

    complete, Clock.complete = Clock.complete, Silent.complete  # type: ignore[method-assign]
    try:
        made, seconds, log = decide([(2, "one"), (600, "two")], 2)
    finally:
        Clock.complete = complete  # type: ignore[method-assign]
    assert (made, seconds, log.tokens_ahead) == ({"text": "one", "attempts": 1, "tokens": 1}, 3, 0)


def test_a_retried_request_has_a_watch_of_its_own_in_the_same_attempt() -> None:
    class Watch:
        def __init__(self) -> None:
            self.text = ""

        def __call__(self, piece: str) -> str | None:
            self.text += piece
            return self.text if len(self.text) > 2 else None

    engine = RecordedEngine(None, CallLog(Journal(Path(), Path(), CALLS, 1000, 1000.0))).row("a")  # type: ignore[arg-type]
    first = partial(engine._watch, Watch())
    again = copy.deepcopy(first)
    assert [first("ab"), again("cd"), again("e")] == [None, None, "cde"]
    engine.unneeded = True
    assert (first("x"), again("x")) == ("unneeded", "unneeded")


@pytest.mark.parametrize(("stage", "rows", "places"), [("generate", 600, 32), ("expand", 160, 8)])
def test_a_stage_takes_at_most_a_twentieth_longer_than_any_order_could(tmp_path: Path, stage: str, rows: int, places: int) -> None:
    """At the paper's proportions (tests/bench/makespan.py has its numbers too). Nothing is lost: every token is of a row, or counted."""
    engines: list[TimedEcho] = []

    def engine_of(config: Any) -> TimedEcho:
        engines.append(TimedEcho(config))
        return engines[-1]

    patient, ahead = (simulate(stage, tmp_path / str(on), rows, config_of(stage, places, on), engine_of) for on in (False, True))
    assert patient.makespan > 1.04 and ahead.makespan <= 1.05
    assert parts(tmp_path / "True") == parts(tmp_path / "False")
    assert without_times(tmp_path / "True") == without_times(tmp_path / "False")
    assert patient.manifest.timings["tokens_ahead"] == 0 < ahead.manifest.timings["tokens_ahead"]
    assert engines[1].generated == ahead.manifest.tokens + ahead.manifest.timings["tokens_ahead"]
    assert engines[1].waited == 0  # a needed attempt never waits for one that is ahead


@pytest.mark.parametrize("stage", ["generate", "expand"])
def test_a_stage_that_fails_again_and_again_loses_no_token_and_repeats_no_call(tmp_path: Path, stage: str) -> None:
    """All rows are open at the same time, so attempts begin ahead from the beginning."""
    rng, finished, tokens = random.Random(5), [], 0

    class Failing(TimedEcho):
        left = 0

        async def complete(self, prompt: Prompt, sampling: SamplingParameters, **rest: Any) -> Completion:
            nonlocal tokens
            if self.left == 0:
                raise TransientError("the engine lost its GPU")
            self.left -= 1
            made = await super().complete(prompt, sampling, **rest)
            tokens += made.tokens
            if made.finish_reason != "unneeded":
                finished.append(sampling.seed)
            return made

    config, runs = config_of(stage, 24, True), 0
    whole = simulate(stage, tmp_path / "whole", 16, config)
    while read_manifest(tmp_path / "d") is None:
        runs, Failing.left = runs + 1, rng.randrange(10, 80)
        try:
            simulate(stage, tmp_path / "d", 16, config, Failing)
        except TransientError as error:
            assert "lost its GPU" in str(error)
    manifest = read_manifest(tmp_path / "d")
    assert manifest is not None and manifest.timings["runs"] == runs > 2
    assert parts(tmp_path / "d") == parts(tmp_path / "whole") and manifest.tokens == whole.manifest.tokens
    assert len(finished) == len(set(finished))
    assert manifest.timings["tokens_lost"] == 0
    assert manifest.tokens + manifest.timings["tokens_ahead"] == tokens > manifest.tokens


@pytest.mark.parametrize(("stage", "stop"), [("generate", signal.SIGKILL), ("expand", signal.SIGKILL), ("expand", signal.SIGTERM)])
def test_a_stage_stopped_at_random_while_attempts_are_ahead_writes_the_same_bytes(
    tmp_path: Path, model: Path, stage: str, stop: signal.Signals
) -> None:
    """Few rows, many places, and most attempts rejected."""
    config = tiny.write_config(
        tmp_path / "config.yaml",
        model,
        echo={"words": 40, "loop_share": 0.1, "cut_share": 0.6, "latency_seconds": 0.1},
        engine={"rows_in_flight": 16, "max_num_seqs": 16},
        store={"flush_seconds": 0.1, "flush_rows": 5},
        generate={"responses": 2, "attempts": 20},
        expand={"attempts": 20, "rounds": 1, "length_biased_selection": False},
    )
    write(tmp_path / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write an essay about subject {n}.") for n in range(5)])
    target = {"generate": "responses", "expand": "expansions"}[stage]
    for each in ("generate", "expand"):
        succeed(each, *command(tmp_path, config, each, tmp_path), "--set", "engine.attempts_ahead=false")
    rng, stops, kills, number = random.Random(11), 0, max(3, KILLS // 3), 0
    while stops < kills or not (tmp_path / str(number) / target / ".manifest.json").exists():
        folder = tmp_path / str(number)
        process = start(stage, command(tmp_path, config, stage, folder))
        while process.poll() is None and lock_owner(folder / target) != process.pid:
            time.sleep(0.005)
        try:
            process.wait(timeout=rng.uniform(0, 0.5) if stops < kills else 60)
        except subprocess.TimeoutExpired:
            process.send_signal(stop)
        _, errors = process.communicate(timeout=60)
        if process.returncode:
            assert process.returncode in (-stop, 128 + stop), errors
            stops += 1
            continue
        assert parts(folder / target) == parts(tmp_path / target)
        assert without_times(folder / target) == without_times(tmp_path / target)
        manifest = read_manifest(folder / target)
        assert manifest is not None and manifest.timings["tokens_ahead"] > 0
        assert stop == signal.SIGKILL or manifest.timings["tokens_lost"] == 0
        number += stops < kills  # complete before enough stops: again, in another folder


def test_the_closing_line_and_sealed_shards_have_the_tokens_of_unneeded_attempts(tmp_path: Path, model: Path) -> None:
    config = tiny.write_config(tmp_path / "c.yaml", model, echo={"words": 40, "cut_share": 0.6}, generate={"attempts": 20})
    write(tmp_path / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write an essay about subject {n}.") for n in range(4)])
    ahead = 0
    for index in range(2):
        shown = succeed("generate", *command(tmp_path, config, "generate", tmp_path), "--shard", f"{index}/2").stderr
        manifest = read_manifest(tmp_path / "responses" / f"shard-{index}-of-2")
        assert manifest is not None
        ahead += manifest.timings["tokens_ahead"]
        assert f"{manifest.tokens:,} tokens and {manifest.timings['tokens_ahead']:,} of unneeded attempts, " in shown
    assert seal(tmp_path / "responses", lambda manifest: FIGURES).timings["tokens_ahead"] == ahead > 0
    off = succeed("generate", *command(tmp_path, config, "generate", tmp_path / "off"), "--set", "engine.attempts_ahead=false").stderr
    assert "unneeded" not in off


def test_of_the_next_tasks_the_longest_is_the_first() -> None:
    def task(length: int, rejection: Rejection | None = None) -> Task[int]:
        return Task(f"{length}", "", 0, length, rejection)

    lengths = [3, 1, 2, 9, 5, 4, 8, 7, 6]
    assert [found.source for found in longest_first(map(task, lengths), lambda length: length, 3)] == [9, 5, 4, 8, 7, 6, 3, 2, 1]
    assert [found.source for found in longest_first(map(task, lengths), lambda length: length, 100)] == sorted(lengths, reverse=True)
    rejected = [task(0, Rejection("selected_out", "")) for _ in range(5)]
    found = list(longest_first([task(1), *rejected, task(2), task(3)], lambda length: length, 3))
    assert [one.source for one in found] == [0, 0, 0, 0, 0, 3, 2, 1]  # what is rejected already takes no place in the window
