"""Long tests that are started manually: `make torture`. It also runs test_survival with LENGTHEN_KILLS=1000."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.torture

ROWS = 1_000_000
SCRIPT = """
import random, sys
from pathlib import Path
from conftest import instruction_row
from lengthen.common.config.engine import Store
from lengthen.common.store.commit import Outcome
from lengthen.common.store.origin import Origin
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.store.reader import open_dataset
from lengthen.common.method.ids import row_id
from lengthen.common.tables.definitions import INSTRUCTIONS

folder, first, last, commit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "commit"
filler = random.Random(1).randbytes(1000).hex()
with DatasetWriter(folder, INSTRUCTIONS, Origin({"rows": "many"}), Store()) as writer:
    assert len(writer.done) == first
    for number in range(first, last):
        at = number % 997
        row = instruction_row(number, filler[at:] + filler[:at])
        writer.add(row | {"id": row_id("torture", 0, "x", number)})
    writer.flush()
    if commit:
        writer.commit(Outcome(last))
if commit:
    assert sum(1 for _ in open_dataset(folder, INSTRUCTIONS).rows()) == last
"""


def test_a_million_rows_of_2_kb_in_bounded_memory(tmp_path: Path) -> None:
    """Write half, stop, resume, compact, read, in separate processes. The limit is on the peak memory of the largest one."""
    began = time.monotonic()
    for first, last, commit in ((0, ROWS // 2, "stop"), (ROWS // 2, ROWS, "commit")):
        arguments = [sys.executable, "-c", SCRIPT, str(tmp_path / "d"), str(first), str(last), commit]
        subprocess.run(arguments, check=True, cwd=Path(__file__).parent)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{ROWS:,} rows: {ROWS / (time.monotonic() - began):,.0f} rows/s, peak {peak:.0f} MB")
    assert peak < 600
