"""A run's tasks as a table: one row for all finished shards of a stage, one row for each other shard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

from lengthen.k8s.manifests import Document
from lengthen.k8s.nodes import Task, seconds_between
from rich import box
from rich.table import Table
from rich.text import Text

_STYLES = {"Succeeded": "green", "Running": "cyan", "Pending": "yellow", "Failed": "red", "Error": "red"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Without control characters: messages and logs hold text from other programs, and are written to a terminal."""
    return _CONTROL.sub("", text)


def table_of(workflow: Document, tasks: list[Task]) -> Table:
    status, name = workflow.get("status", {}), workflow["metadata"]["name"]
    phase = status.get("phase") or "Pending"
    table = Table(
        title=Text(plain(f"{name}: {phase}{_why(status)}")), box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, title_justify="left"
    )
    for column in ("iteration", "stage", "shard", "phase", "rows", "tries", "time", ""):
        table.add_column(column, justify="right" if column in ("iteration", "rows", "tries", "time") else "left")
    for cells in rows_of(tasks, datetime.now(UTC)):
        table.add_row(*(Text(plain(cell)) for cell in cells), style=_STYLES.get(cells[3], ""))
    return table


def rows_of(tasks: list[Task], now: datetime) -> Iterator[tuple[str, ...]]:
    """iteration, stage, shard, phase, rows, tries, time, message."""
    for (iteration, stage), group in groupby(_by_stage(tasks), key=lambda task: (task.iteration, task.stage)):
        shards = list(group)
        done = [task for task in shards if task.phase == "Succeeded"]
        if len(shards) > 1 and done and stage != "finetune":
            yield _row(iteration, stage, f"{len(done)} of {len(shards)}", done, now)
            shards = [task for task in shards if task.phase != "Succeeded"]
        for task in shards:
            yield _row(iteration, stage, task.part, [task], now)


def _by_stage(tasks: list[Task]) -> list[Task]:
    """The tasks of a stage side by side, the stages in the order of their first start."""
    order = {key: number for number, key in reversed(list(enumerate((task.iteration, task.stage) for task in tasks)))}
    return sorted(tasks, key=lambda task: order[task.iteration, task.stage])


def _row(iteration: int, stage: str, part: str, tasks: list[Task], now: datetime) -> tuple[str, ...]:
    seconds = [spent for task in tasks if (spent := seconds_between(task.began, task.ended, now)) is not None]
    longest = str(timedelta(seconds=round(max(seconds)))) if seconds else ""
    message = "" if tasks[0].phase == "Succeeded" else tasks[0].message
    tries = max(task.tries for task in tasks)
    return str(iteration), stage, part, tasks[0].phase, _progress(tasks), str(tries), longest, message


def _progress(tasks: list[Task]) -> str:
    """Finished rows / all rows, over these tasks."""
    pairs = [task.progress.partition("/") for task in tasks if re.fullmatch(r"\d+/\d+", task.progress)]
    return f"{sum(int(done) for done, _, _ in pairs):,}/{sum(int(total) for _, _, total in pairs):,}" if pairs else ""


def _why(status: Document) -> str:
    message = str(status.get("message") or "")
    return f" ({message})" if message else ""
