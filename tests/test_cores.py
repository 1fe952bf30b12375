"""The cores of a process: by its affinity and its cgroup, not the machine's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lengthen.common.process.cores import available_cores, core_list, thread_variables


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


def test_cores_are_listed_as_ranges(eight_cores: None) -> None:
    assert core_list() == "8-15"
    assert core_list({0, 1, 4, 6, 7}) == "0-1,4,6-7"
    assert core_list({3}) == "3"


def test_threads_are_bound_to_the_cores_of_the_process_unless_a_quota_is_smaller(tmp_path: Path, eight_cores: None) -> None:
    """Pods with a quota and no cpuset see the same cores: bound to the first two of them, all pods would share these two."""
    assert thread_variables(tmp_path) == {"VLLM_CPU_OMP_THREADS_BIND": "8-15"}
    limited = cgroup(tmp_path, "0::/", {"cpu.max": "200000 100000"})
    assert thread_variables(limited) == {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "2"}
