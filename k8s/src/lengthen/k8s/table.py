"""A run's lines as a table: a stage's finished shards in one line, those at work and those that failed in lines of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

from lengthen.k8s.manifests import Document
from lengthen.k8s.nodes import Line, seconds_between
from rich import box
from rich.table import Table
from rich.text import Text

_STYLES = {"Succeeded": "green", "Running": "cyan", "Pending": "yellow", "Failed": "red", "Error": "red"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Without control characters: messages and logs hold text that others wrote, and go to a terminal."""
    return _CONTROL.sub("", text)


def table_of(workflow: Document, lines: list[Line]) -> Table:
    status, name = workflow.get("status", {}), workflow["metadata"]["name"]
    phase = status.get("phase") or "Pending"
    table = Table(
        title=Text(plain(f"{name}: {phase}{_why(status)}")), box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, title_justify="left"
    )
    for column in ("iteration", "stage", "shard", "phase", "rows", "tries", "time", ""):
        table.add_column(column, justify="right" if column in ("iteration", "rows", "tries", "time") else "left")
    for cells in rows_of(lines, datetime.now(UTC)):
        table.add_row(*(Text(plain(cell)) for cell in cells), style=_STYLES.get(cells[3], ""))
    return table


def rows_of(lines: list[Line], now: datetime) -> Iterator[tuple[str, ...]]:
    """iteration, stage, shard, phase, rows, tries, time, message."""
    for (iteration, stage), group in groupby(_together(lines), key=lambda line: (line.iteration, line.stage)):
        shards = list(group)
        done = [line for line in shards if line.phase == "Succeeded"]
        if len(shards) > 1 and done and stage != "finetune":
            yield _row(iteration, stage, f"{len(done)} of {len(shards)}", done, now)
            shards = [line for line in shards if line.phase != "Succeeded"]
        for line in shards:
            yield _row(iteration, stage, line.part, [line], now)


def _together(lines: list[Line]) -> list[Line]:
    """In the order of their first beginning, the lines of a stage beside each other."""
    order = {key: number for number, key in reversed(list(enumerate((line.iteration, line.stage) for line in lines)))}
    return sorted(lines, key=lambda line: order[line.iteration, line.stage])


def _row(iteration: int, stage: str, part: str, lines: list[Line], now: datetime) -> tuple[str, ...]:
    seconds = [spent for line in lines if (spent := seconds_between(line.began, line.ended, now)) is not None]
    longest = str(timedelta(seconds=round(max(seconds)))) if seconds else ""
    message = "" if lines[0].phase == "Succeeded" else lines[0].message
    tries = max(line.tries for line in lines)
    return str(iteration), stage, part, lines[0].phase, _progress(lines), str(tries), longest, message


def _progress(lines: list[Line]) -> str:
    pairs = [line.progress.partition("/") for line in lines if re.fullmatch(r"\d+/\d+", line.progress)]
    return f"{sum(int(done) for done, _, _ in pairs):,}/{sum(int(total) for _, _, total in pairs):,}" if pairs else ""


def _why(status: Document) -> str:
    message = str(status.get("message") or "")
    return f" ({message})" if message else ""
