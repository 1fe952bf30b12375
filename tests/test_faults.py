"""Fault injection for the file system: each write, rename, link and fsync of a dataset fails once, with ENOSPC and with EIO."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fault_injection import write_dataset

ALL = os.environ.get("LENGTHEN_FAULTS") == "all"  # TIER=ci and `make torture`: every write; otherwise every ninth
SCRIPT = Path(__file__).parent / "fault_injection.py"
ERRORS = {"ENOSPC": "No space left on device", "EIO": "Input/output error"}


def under_strace(folder: Path, call: str, options: list[str], arguments: list[object]) -> None:
    folder.mkdir()
    command = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        str(folder / "trace"),
        *options,
        sys.executable,
        str(SCRIPT),
        str(folder),
        call,
    ]
    subprocess.run([*command, *map(str, arguments)], check=True, capture_output=True, env=os.environ | {"PYTHONPATH": python_path()})


def python_path() -> str:
    return os.pathsep.join([str(SCRIPT.parent), *filter(None, sys.path)])


def count_calls(folder: Path, call: str) -> int:
    """The number of these calls when one process writes the dataset."""
    under_strace(folder, call, ["-e", f"trace={call}"], [0, 0, 1])
    child = [line for line in (folder / "trace").read_text().splitlines() if f" {call}(" in line]
    processes = [line.split()[0] for line in child]
    writer = max(set(processes), key=processes.count)
    return processes.count(writer)


def content(folder: Path) -> dict[str, bytes]:
    manifest = json.loads((folder / ".manifest.json").read_text())
    return {part["path"]: (folder / part["path"]).read_bytes() for part in manifest["parts"] + manifest["rejected_parts"]}


@pytest.mark.parametrize("error", ["ENOSPC", pytest.param("EIO", marks=pytest.mark.ci)])
@pytest.mark.parametrize("call", ["write", "rename", "link", "fsync"])
def test_a_failing_system_call_exits_with_75_and_the_next_run_completes(tmp_path: Path, call: str, error: str) -> None:
    if not shutil.which("strace"):
        pytest.skip("NOT TESTED: faults of the file system; install strace")
    write_dataset(tmp_path / "good")
    good = content(tmp_path / "good")
    count, step = count_calls(tmp_path / "count", call), 9 if call == "write" and not ALL else 1
    faults, output = count + 10, tmp_path / "faults"
    under_strace(output, call, ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={faults}"], [faults, count, step])
    codes = {int(k): code for k, code in json.loads((output / "codes.json").read_text()).items()}
    assert len(codes) == len(range(1, count + 1, step)) and count >= (1 if call == "link" else 8)
    after_the_end = [k for k, code in codes.items() if code == 0]
    # The lock is released by a rename after the manifest is written. If that fails, the dataset is complete nevertheless.
    assert len(after_the_end) <= (call == "rename")
    for k, code in codes.items():
        folder, message = output / str(k), (output / f"{k}.err").read_text()
        assert "Traceback" not in message
        if k not in after_the_end:
            assert code == 75, (k, message)
            need = r"( \([\d,]+ bytes to write .*\))?"
            expected = rf"error: {re.escape(str(folder))}\S*: {ERRORS[error]}{need}; .* run the same command again\n"
            assert re.fullmatch(expected, message), message
            assert call != "write" or "bytes to write" in message
            assert not (folder / ".manifest.json").exists()
            write_dataset(folder)
        assert content(folder) == good
