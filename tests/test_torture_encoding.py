"""Memory and time of making token rows, started manually: `make torture`. LENGTHEN_ENCODE_ROWS=2000 takes a fifth of the time."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import tiny
from conftest import ROOT, expansion_row
from lengthen.common.config.engine import Store
from lengthen.common.store.commit import Outcome
from lengthen.common.store.origin import Origin
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import EXPANSIONS

pytestmark = pytest.mark.torture

ROWS = int(os.environ.get("LENGTHEN_ENCODE_ROWS", "10000"))
WORDS = 16_000  # a token each
SCRIPT = """
import json, sys
from pathlib import Path
from lengthen.common.config.load import load_config
from lengthen.common.stage.job import Job
from lengthen.common.store.origin import Origin
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import ADAPTERS, EXPANSIONS
from lengthen.finetune import encoding
from lengthen.finetune.rows import encode_rows

output, config, data, processes = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
encoding.available_cores = lambda: processes
settings = ["finetune.length_biased_selection=false", "finetune.max_similarity=1", "finetune.max_tokens_generator=20000"]
job = Job("finetune", load_config(config, settings), output, 1, "")
dataset = open_dataset(data, EXPANSIONS)
with DatasetWriter(output, ADAPTERS, Origin({}), job.config.store) as writer:
    rows = encode_rows(job, [dataset], "generator", writer)
print(json.dumps([rows.rows + rows.validation_rows, rows.tokens + rows.validation_tokens, rows.digest]))
"""


def test_ten_thousand_rows_of_16_000_tokens_in_less_than_a_gigabyte(tmp_path: Path) -> None:
    config, data = tiny.write_config(tmp_path / "config.yaml", ROOT / "models" / "smollm2-135m-instruct"), tmp_path / "data"
    text = " ".join(random.Random(1).choices(tiny.WORDS, k=WORDS))
    with DatasetWriter(data, EXPANSIONS, Origin({"rows": "long"}), Store()) as writer:
        for number in range(ROWS):
            at = text.index(" ", number % 5000)
            row = expansion_row(number, "The river.", text[at + 1 :] + " " + text[:at])
            writer.add(row | {"id": f"{number * 2**96:032x}"})  # spread over the parts, as digests are
        writer.commit(Outcome(ROWS))
    found = []
    for processes in (1, 2):
        began = time.monotonic()
        output, held, mapped = measured([str(tmp_path / f"out-{processes}"), str(config), str(data), str(processes)])
        seconds = time.monotonic() - began
        found.append(json.loads(output))
        print(
            f"{ROWS:,} rows, {found[-1][1]:,} tokens, {processes} process(es): {seconds:.0f} s, {ROWS / seconds:.0f} rows/s; peak of all ",
            end="",
        )
        print(f"processes {held / 2**20:.0f} MiB, with mapped files {mapped / 2**20:.0f} MiB", flush=True)
        assert held < 10**9
    assert found[0] == found[1] and found[0][0] == ROWS and found[0][1] > 0.95 * ROWS * WORDS


def measured(arguments: list[str]) -> tuple[str, int, int]:
    """(output, peak bytes of memory, the same with mapped files) of the script and its processes, looked at five times a second.

    Memory that processes share counts once. Pages of mapped files are the system's cache: it takes them back when memory is short.
    """
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE, text=True)
    tree, held, mapped = psutil.Process(process.pid), 0, 0
    while process.poll() is None:
        found = [sizes(child.pid) for child in (tree, *tree.children(recursive=True))]
        held = max(held, sum(size["Pss_Anon"] + size["Pss_Shmem"] for size in found if size))
        mapped = max(mapped, sum(size["Pss"] for size in found if size))
        time.sleep(0.2)
    assert process.returncode == 0
    return process.stdout.read() if process.stdout else "", held, mapped


def sizes(process: int) -> dict[str, int]:
    """Bytes by kind (proportional set sizes); nothing of a process that has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines)}
