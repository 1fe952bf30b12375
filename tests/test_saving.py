"""Finished work is saved in a thread while the event loop goes on."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from conftest import instruction_row
from lengthen.common.config.engine import Store
from lengthen.common.process.errors import TransientError
from lengthen.common.process.progress import StageProgress
from lengthen.common.stage.rows import run_together
from lengthen.common.store.call_log import FinishedCall
from lengthen.common.store.origin import Origin
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import INSTRUCTIONS


def writer(folder: Path, **store: float) -> DatasetWriter:
    return DatasetWriter(folder, INSTRUCTIONS, Origin({"test": 1}), Store(**store))


def run(one: DatasetWriter, *work: object) -> None:
    async def together() -> None:
        with StageProgress("test", 1, 0) as progress:
            await run_together(list(work), one, progress)  # type: ignore[arg-type]

    asyncio.run(together())


def test_the_event_loop_does_not_wait_while_work_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving, went_on = threading.Event(), threading.Event()

    def slow(self: DatasetWriter) -> None:
        saving.set()
        assert went_on.wait(30), "the event loop waits for the disk"

    monkeypatch.setattr(DatasetWriter, "flush_if_due", slow)

    async def work() -> None:
        while not saving.is_set():
            await asyncio.sleep(0.01)
        went_on.set()

    with writer(tmp_path / "d", flush_seconds=0.1) as one:
        run(one, work())
    assert went_on.is_set()


def test_a_disk_that_is_full_while_work_is_saved_stops_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: DatasetWriter) -> None:
        raise TransientError("No space left on device")

    monkeypatch.setattr(DatasetWriter, "flush_if_due", full)
    with writer(tmp_path / "d", flush_seconds=0.1) as one, pytest.raises(TransientError, match="No space left"):
        run(one, asyncio.sleep(3600))


def test_rows_that_are_added_while_work_is_saved_are_saved_after_their_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with writer(tmp_path / "d") as one:
        flush = one.calls.journal.flush

        def add_meanwhile(count: int | None = None) -> None:
            flush(count)
            one.calls.add("2", "call", FinishedCall("late", 1, "stop"))  # another thread finishes row 2 at this moment
            one.add(instruction_row(2, "Write a letter."))

        one.calls.add("1", "call", FinishedCall("early", 1, "stop"))
        one.add(instruction_row(1, "Write an essay."))
        monkeypatch.setattr(one.calls.journal, "flush", add_meanwhile)
        one.flush()
        monkeypatch.undo()
        assert [batch.num_rows for batch in one._rows.batches()] == [1]
        assert [batch.num_rows for batch in one.calls.journal.batches()] == [1]
        one.flush()
        assert [batch.num_rows for batch in one._rows.batches()] == [1, 1]
        assert sorted(batch["text"][0].as_py() for batch in one.calls.journal.batches()) == ["early", "late"]
