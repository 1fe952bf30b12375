"""The table of `make bench`: its rows, and how they are written as Markdown and Parquet.

A figure holds one value of each side for each round. Its ratio is the median of the rounds' ratios, not the ratio of the medians: two
values of one round were measured one after the other, so what slows the machine for a while slows both.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NAME = "bench"  # NAME.md and NAME.parquet
BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
_S, _F, _I = pa.string(), pa.float64(), pa.int64()
SCHEMA = pa.schema(
    {
        "part": _S, "what": _S, "ours": _F, "other": _F, "unit": _S, "ratio": _F, "lowest": _F, "highest": _F, "rounds": _I,
        "wanted": _S, "skipped": _S, "date": _S, "git_revision": _S,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One row of the table. `skipped` is the reason why nothing was measured; then there are no values.

    The ratio is ours / other. For a rate more is better, for a cost (s, MB) less; `unit` shows which it is.
    """

    part: str
    what: str
    unit: str
    ours: tuple[float, ...] = ()
    other: tuple[float, ...] = ()
    wanted: str = ""  # what the ratio should be, such as ">= 1.9"
    skipped: str = ""

    @property
    def ratios(self) -> list[float]:
        """Raises: ValueError: the two sides were not measured equally often."""
        return [ours / other for ours, other in zip(self.ours, self.other, strict=True)]

    def row(self) -> dict[str, Any]:
        """The figure as a row of `SCHEMA`, without date and revision."""
        row: dict[str, Any] = {"part": self.part, "what": self.what, "unit": self.unit, "wanted": self.wanted, "skipped": self.skipped}
        row |= {"rounds": len(self.ours), **dict.fromkeys(("ours", "other", "ratio", "lowest", "highest"))}
        if ratios := self.ratios:
            row |= {"ours": statistics.median(self.ours), "other": statistics.median(self.other)}
            row |= {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
        return row


def machine() -> dict[str, str]:
    """What the figures depend on: the processor, its cores, the memory."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu[1] if cpu else platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory_gib": f"{memory / 2**30:.0f}",
        "system": platform.platform(),
    }


def write(folder: Path, figures: Iterable[Figure], measured: set[str], date: str, versions: dict[str, str]) -> Path:
    """Write the figures of the measured parts, beside those that an earlier run measured of other parts. Returns the Markdown file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{NAME}.parquet"
    rows = [row for row in pq.read_table(file).to_pylist() if row["part"] not in measured] if file.exists() else []
    rows += [figure.row() | {"date": date, "git_revision": versions.get("git_revision", "")} for figure in figures]
    rows.sort(key=lambda row: str(row["part"]))  # stable: the figures of a part stay in their order
    metadata = {"date": date, "machine": json.dumps(machine()), "versions": json.dumps(versions)}
    metadata["revision"] = versions.get("git_revision", "")
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA).replace_schema_metadata(metadata), file)
    page = folder / f"{NAME}.md"
    page.write_text(markdown(file))
    return page


def markdown(file: Path) -> str:
    """The Parquet file as a Markdown table, and a sentence about the machine."""
    table = pq.read_table(file)
    lines = ["| | what | ours | other | unit | ratio | lowest | highest | rounds | wanted |", "|---|---|--:|--:|---|--:|--:|--:|--:|---|"]
    lines += [_line(row) for row in table.to_pylist()]
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    where, versions = json.loads(metadata["machine"]), json.loads(metadata["versions"])
    shown = ", ".join(f"{name} {versions[name]}" for name in sorted(versions) if name not in ("host", "git_revision"))
    dates = sorted({row["date"][:10] for row in table.to_pylist()})
    revisions = sorted({row["git_revision"][:9] for row in table.to_pylist()})
    lines += ["", f"Machine: {where['cores']} cores, {where['cpu']}, {where['memory_gib']} GiB of memory, {where['system']}."]
    lines += [f"Measured on {' and '.join(dates)} at revision {' and '.join(revisions)}, with {shown}."]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    if row["skipped"]:
        return f"| {row['part']} | {row['what']} | **skipped: {row['skipped']}** | | {row['unit']} | | | | | {row['wanted']} |"
    values = [_number(row["ours"]), _number(row["other"]), row["unit"], f"**{_ratio(row['ratio'])}**"]
    values += [_ratio(row["lowest"]), _ratio(row["highest"]), str(row["rounds"]), row["wanted"]]
    return f"| {row['part']} | {row['what']} | {' | '.join(values)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def insert(page: Path, text: str) -> None:
    """Replace what is between the two marker comments of a page. Raises as `check_markers`."""
    check_markers(page)
    content = page.read_text()
    page.write_text(content.partition(BEGIN)[0] + BEGIN + "\n\n" + text.strip() + "\n\n" + END + content.partition(END)[2])


def check_markers(page: Path) -> None:
    """Raises: ValueError: the page does not have each marker once, in this order."""
    content = page.read_text()
    if content.count(BEGIN) != 1 or content.count(END) != 1 or content.index(BEGIN) > content.index(END):
        raise ValueError(f"{page} needs the line {BEGIN} and below it the line {END}, each once")
