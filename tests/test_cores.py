"""The cores of a process: by its affinity and its cgroup, not the machine's."""

from __future__ import annotations

import asyncio
import os
import sys
import types
from pathlib import Path

import pytest
from conftest import ROOT
from lengthen.common.config.load import load_config
from lengthen.common.engine import opening
from lengthen.common.process.cores import available_cores


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8, 16)))


def cgroup(root: Path, line: str, files: dict[str, str]) -> Path:
    for name, text in {
        "proc/self/cgroup": f"9:memory:/x\n{line}\n",
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("line", "files", "cores"),
    [
        ("0::/", {"cpu.max": "200000 100000"}, 2),
        ("0::/pod/container", {"pod/container/cpu.max": "max 100000", "pod/cpu.max": "150000 100000"}, 2),
        ("0::/pod", {"pod/cpu.max": "10000 100000"}, 1),
        ("0::/pod", {"pod/cpu.max": "max 100000"}, 8),
        ("0::/pod", {"pod/cpu.max": "6400000 100000"}, 8),
        ("0::/../of-the-host", {"cpu.max": "300000 100000"}, 3),
        ("4:cpu,cpuacct:/docker/1f", {"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 4),
        ("4:cpu:/pod", {"cpu/pod/cpu.cfs_quota_us": "-1", "cpu/pod/cpu.cfs_period_us": "100000"}, 8),
        ("0::/", {}, 8),
    ],
)
def test_a_quota_limits_the_cores(tmp_path: Path, eight_cores: None, line: str, files: dict[str, str], cores: int) -> None:
    assert available_cores(cgroup(tmp_path, line, files)) == cores


def test_without_cgroups_the_affinity_counts(tmp_path: Path, eight_cores: None) -> None:
    assert available_cores(tmp_path) == 8


async def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = types.ModuleType("vllm_engine")
    engine.VllmEngine = lambda *arguments: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lengthen.common.engine.vllm_engine", engine)
    await opening._start("vllm", load_config(ROOT / "configs/smoke.yaml"), [], False)


def test_vllm_has_a_thread_for_each_core_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(opening, "available_cores", lambda: 3)
    asyncio.run(opened(monkeypatch))
    assert os.environ["OMP_NUM_THREADS"] == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    asyncio.run(opened(monkeypatch))
    assert os.environ["OMP_NUM_THREADS"] == "5"  # the user's own number stays
