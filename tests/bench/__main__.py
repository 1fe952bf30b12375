"""python tests/bench [--only a,b] [--rounds 3] [--output runs/bench] [--into docs/performance.md] [--small]

Write one table of ratios, as Markdown and Parquet. Both sides of every ratio are measured in turns, in one run. docs/performance.md
says what each part measures. A part that can't run is a row of the table too, with the reason.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import table
from lengthen.common.process.environment import environment
from measuring import ROOT, CannotMeasure, Options, busy_cores, note
from table import Figure

# Each module has `measure(options) -> list[Figure]`.
PARTS = {
    "a": ("raw_vllm",),
    "b": ("lock_step",),
    "c": ("instant_rows",),
    "d": ("check_speed", "store_speed"),
    "e": ("finetune", "packing", "llama_factory"),
    "f": ("scale",),
}
BUSY = 0.2  # cores


def main() -> None:
    options = arguments()
    os.chdir(ROOT)  # the model's path in the configs is relative
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    date, versions, failed = datetime.now(UTC).isoformat(timespec="seconds"), environment(), False
    with tempfile.TemporaryDirectory(prefix="lengthen-bench-") as work:
        shared = Options(options.rounds, options.small, options.model.absolute(), Path(work), ROOT / ".bench")
        for part in options.only:
            figures: list[Figure] = []
            for module in PARTS[part]:
                found, failure = measured(part, module, shared)
                figures += found
                failed |= failure
            table.write(options.output, figures, {part}, date, versions)  # after each part: hours of measuring are not lost
    text = table.markdown(options.output / f"{table.NAME}.parquet")
    print(text, end="")
    if options.into:
        table.insert(options.into, text)
    sys.exit(1 if failed else 0)


def measured(part: str, module: str, options: Options) -> tuple[list[Figure], bool]:
    """A module's figures, and whether its programs failed. Without figures, one row says why."""
    note(f"({part}) {module}")
    if (busy := busy_cores()) > BUSY:
        note(f"({part}) {module}: WARNING: other programs keep {busy:.1f} cores busy, so these ratios can be wrong by any factor")
    began = time.monotonic()
    try:
        figures = importlib.import_module(module).measure(options)
    except CannotMeasure as reason:
        note(f"({part}) {module}: SKIPPED: {reason}")
        return [Figure(part, module, "", skipped=str(reason))], False
    except RuntimeError as error:
        note(f"({part}) {module}: FAILED: {error}")
        return [Figure(part, module, "", skipped="failed: " + str(error).strip().splitlines()[-1][:200].replace("|", "/"))], True
    note(f"({part}) {module}: {time.monotonic() - began:.0f} s")
    return figures, False


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[2], formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), help="Parts, such as a,c. Default: all.")
    parser.add_argument("--rounds", type=int, default=3, help="Measurements of each side. Default: 3.")
    parser.add_argument("--output", type=Path, default=ROOT / "runs/bench", help="Folder of the table; parts not measured now are kept.")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="Write the table into this page too, between its markers.")
    parser.add_argument("--model", type=Path, default=ROOT / "models/smollm2-135m-instruct")
    parser.add_argument("--small", action="store_true", help="Only try the programs: quick, and figures without meaning.")
    options = parser.parse_args()
    options.output = options.output.absolute()
    options.into = options.into and options.into.absolute()
    if unknown := [part for part in options.only if part not in PARTS]:
        parser.error(f"--only {','.join(unknown)}: the parts are {', '.join(PARTS)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.into:
        table.check_markers(options.into)  # before hours of measuring
    return options


if __name__ == "__main__":
    main()
