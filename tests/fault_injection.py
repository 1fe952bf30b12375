"""A program that writes one small dataset in many processes, each with its own fault: its k-th call of one system call fails.

    strace -f -e inject=fsync:error=EIO:when=K python fault_injection.py FOLDER fsync K COUNT STEP

strace counts the calls of each process. So the k-th child first makes K - k calls without effect; its k-th real call is then call K.
Each child writes to FOLDER/k, its stderr goes to FOLDER/k.err, and its exit code to FOLDER/codes.json. With COUNT 0
there is one child and no fault.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from conftest import instruction_row
from lengthen.common.config.engine import Store
from lengthen.common.process.environment import environment
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.store.call_log import FinishedCall
from lengthen.common.store.commit import Outcome
from lengthen.common.store.origin import Origin
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import INSTRUCTIONS
from lengthen.common.text.rejection import Rejection

_CLOSED = 987  # a file descriptor that is not open
_WITHOUT_EFFECT = {
    "write": lambda: os.write(_CLOSED, b""),
    "fsync": lambda: os.fsync(_CLOSED),
    "rename": lambda: Path("/nowhere/a").rename("/nowhere/b"),
    "link": lambda: os.link("/nowhere/a", "/nowhere/b"),
}


def write_dataset(folder: Path) -> None:
    """Five rows in three flushes, one of them rejected, with their engine calls."""
    with DatasetWriter(folder, INSTRUCTIONS, Origin({"test": 1}), Store(flush_rows=2)) as writer:
        for number in range(5):
            row = instruction_row(number, f"Write about subject {number}.")
            if row["id"] in writer.done:
                continue
            writer.calls.add(row["id"], "1", FinishedCall("text", 1, "stop"))
            if number == 3:
                writer.reject(row["id"], None, Rejection("empty", ""))
            else:
                writer.add(row)
        writer.commit(Outcome(5))


def child(folder: Path, call: str, calls_before: int) -> None:
    os.dup2(os.open(f"{folder}.err", os.O_CREAT | os.O_WRONLY), 2)
    for _ in range(calls_before):
        with suppress(OSError):
            _WITHOUT_EFFECT[call]()
    with_exit_codes(lambda: write_dataset(folder))


def main() -> None:
    folder, call, fault, count, step = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])
    environment()  # cached once, here: it calls git
    codes = {}
    for k in range(1, count + 1, step) if count else [0]:
        if pid := os.fork():
            codes[k] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            continue
        code = 1
        try:
            child(folder / str(k), call, fault - k if count else 0)
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        finally:
            os._exit(code)  # this hides the traceback of a bug, but the test sees its exit code 1
    (folder / "codes.json").write_text(json.dumps(codes))


if __name__ == "__main__":
    main()
