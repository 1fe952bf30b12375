"""Progress: a bar on a terminal, otherwise, or with LENGTHEN_PROGRESS=lines, one line every 10 seconds. Argo's progress file gets `n/m`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_SECONDS = 10.0

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Print one line on stderr. It is not interpreted as markup, because it may contain text of rows."""
    console.print(message, markup=False)


def tell_argo(done: int, total: int) -> None:
    """Write the progress to the file that Argo Workflows displays for a pod."""
    if file := os.environ.get("ARGO_PROGRESS_FILE"):
        Path(file).write_text(f"{done}/{total}\n")


class StageProgress:
    """Counts and displays the finished rows of a stage."""

    def __init__(self, stage: str, total: int, done: int = 0) -> None:
        self.stage, self.total, self.done = stage, total, done
        self.not_timed, self.began, self.last_line = done, time.monotonic(), time.monotonic()
        self.note = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> StageProgress:
        if sys.stderr.isatty() and os.environ.get("LENGTHEN_PROGRESS") != "lines":
            columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
            self._bar = Progress(TextColumn("{task.description}"), *columns, console=console)
            self._task = self._bar.add_task(self.stage, total=self.total, completed=self.done, note="")
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def tick(self, note: str = "") -> None:
        """Update the display; to be called about once a second. `note` is shown next to the count."""
        self.note = note or self.note
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self.done, note=self.note)
        elif time.monotonic() - self.last_line >= _LINE_SECONDS:
            self.last_line = time.monotonic()
            say(self._line())

    def advance(self, *, worked: bool = True) -> None:
        """Count a finished row. `worked` False: it took no time (rejected without a call), so the time estimate ignores it."""
        self.done += 1
        self.not_timed += not worked
        self.tick()
        tell_argo(self.done, self.total)

    def _line(self) -> str:
        elapsed = time.monotonic() - self.began
        made = self.done - self.not_timed
        left = f", about {(self.total - self.done) * elapsed / made:.0f} s left" if made else ""
        return f"{self.stage}: {self.done}/{self.total} rows, {elapsed:.0f} s{left}{', ' + self.note if self.note else ''}"
