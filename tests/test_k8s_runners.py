"""One DAG with two runners: the submitted Workflow runs the same commands as `make iteration`."""

from __future__ import annotations

import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tiny
from argo_walker import Call, End, Walk
from conftest import ROOT, rows
from lengthen.common.config.load import load_config
from lengthen.common.store.manifest import read_manifest
from lengthen.k8s.workflow import Run, config_map, workflow
from test_k8s_manifests import rendered

CANARY = "canary-5f2e9c"
DATASETS = {"instructions": "instructions", "responses": "responses", "expansions": "expansions", "generator": "adapters",
            "extender": "adapters", "scores": "scores"}  # fmt: skip
Command = tuple[tuple[str, ...], ...]


def words_of(call: Call) -> list[str]:
    """A pod's command with its variables as options, without the options that are used only in a cluster."""
    container = call.template["container"]
    words = [*container["command"], *container["args"]]
    for item in container["env"]:
        if (name := item["name"]).startswith("LENGTHEN_"):
            words += [f"--{name.removeprefix('LENGTHEN_').lower()}={value}" for value in item["value"].split()]
    return [word for word in words if not word.startswith(("--shard=", "--engine=", "--config="))]


def meaning(words: list[str]) -> Command:
    """A command, independent of the order and form of its options."""
    module = words[words.index("-m") + 1]
    rest = [word for word in words[words.index("-m") + 2 :] if word]
    options, plain = [], []
    while rest:
        word = rest.pop(0)
        if word == "--release" and module == "lengthen.augment":
            options.append((word, "true"))
        elif word.startswith("--"):
            options.append(tuple(word.split("=", 1)) if "=" in word else (word, rest.pop(0)))
        else:
            plain.append((word,))
    return ((module,), *sorted(plain), *sorted(option for option in options if option[0] not in ("--engine", "--config")))


def made_by_make(iterations: int, target: str = "iteration") -> list[Command]:
    command = ["make", "-n", target, f"N={iterations}", "RUN=/runs/try", "ENGINE=echo"]
    plan = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.replace("\\\n", " ")
    stage = re.compile(r"^\S+/python -m lengthen\.(augment|augment\.demands|generate|expand|finetune|evaluate|evaluate\.summary) ")
    return [meaning(shlex.split(line)) for line in plan.splitlines() if stage.match(line)]


def walked(iterations: int, shards: int, overlay: str = "cpu", order: int = 0) -> list[Call]:
    run = Run(name="try", iteration=iterations, config=load_config(ROOT / "configs" / "laptop.yaml"), shards=shards, engine="echo")
    calls: list[Call] = []
    walk = Walk(rendered(overlay), lambda call: calls.append(call) or End.of(0), random.Random(order))
    assert walk.run(workflow(run, "lengthen")) == "Succeeded"
    return calls


@pytest.mark.parametrize("iterations", [1, 3, 12])
def test_make_and_argo_have_the_same_dag(iterations: int) -> None:
    """The same commands with the same inputs, adapters and outputs; only Argo has shards and seals."""
    calls = [call for call in walked(iterations, shards=3) if call.stage != "seal"]
    assert {meaning(words_of(call)) for call in calls} == set(made_by_make(iterations))
    shards = [call for call in calls if call.stage in ("generate", "expand", "evaluate")]
    assert len(shards) == 3 * (3 * iterations + 1)


def test_make_and_argo_have_the_same_dag_for_a_release() -> None:
    """Except the export for a hub, which `make release` does on this machine."""
    config = load_config(ROOT / "configs" / "laptop.yaml")
    calls: list[Call] = []
    walk = Walk(rendered("gpu"), lambda call: calls.append(call) or End.of(0))
    assert walk.run(workflow(Run("try", 3, config, shards=2, release=True), "lengthen")) == "Succeeded"
    local = [
        command for command in made_by_make(3, "release") if not any(part[0] == "--release" and "/" in part[1] for part in command[1:])
    ]
    assert {meaning(words_of(call)) for call in calls if call.stage != "seal"} == set(local)
    demands = next(call for call in calls if call.stage == "demands")
    assert demands.inputs["input"].split()[0] == "/runs/try/iter-03/expansions"  # above, sets are compared; here the order matters


@pytest.mark.parametrize("order", range(5))
def test_every_pod_starts_after_those_whose_output_it_reads(order: int) -> None:
    done: set[str] = set()
    for call in walked(3, shards=2, order=order):
        options = dict(part for part in meaning(words_of(call)) if len(part) == 2)
        reads = [part[1] for part in meaning(words_of(call)) if part[0] in ("--input", "--adapter")]
        assert set(reads) <= done, call.template
        if call.stage == "seal":
            done.add(call.inputs["folder"])
        elif "--output" in options and call.stage in ("augment", "finetune"):
            done.add(options["--output"])


def test_a_run_in_a_bucket_reads_and_writes_only_there() -> None:
    run = Run(name="try", iteration=2, config=load_config(ROOT / "configs" / "laptop.yaml"), store="s3://bucket/runs", release=True)
    calls: list[Call] = []
    Walk(rendered("gpu"), lambda call: calls.append(call) or End.of(0)).run(workflow(run, "lengthen"))
    parts = [part for call in calls if call.stage not in ("seal", "summary") for part in meaning(words_of(call))]
    folders = {part[1] for part in parts if part[0] in ("--input", "--output", "--adapter")}
    assert len(folders) > 15 and all(folder.startswith("s3://bucket/runs/try/") for folder in folders)


def test_a_run_with_a_model_source_fetches_the_model_first() -> None:
    config = load_config(ROOT / "configs" / "laptop.yaml")
    run = Run(name="try", iteration=1, config=config, model_source="owner/name@1f2e3d")
    calls: list[Call] = []
    Walk(rendered("gpu"), lambda call: calls.append(call) or End.of(0)).run(workflow(run, "lengthen"))
    assert calls[0].template["container"]["args"] == ["owner/name@1f2e3d", "/models/smollm2-135m-instruct"]
    assert "fetch" not in [call.stage for call in walked(1, 1)]


@pytest.mark.parametrize(("code", "tries", "phase"), [(75, 2, "Succeeded"), (143, 2, "Succeeded"), (2, 1, "Failed"), (1, 1, "Failed")])
def test_a_pod_is_retried_by_its_exit_code(code: int, tries: int, phase: str) -> None:
    run = Run(name="try", iteration=2, config=load_config(ROOT / "configs" / "laptop.yaml"), shards=2)
    calls: list[Call] = []

    def ends(call: Call) -> End:
        calls.append(call)
        broken = call.stage == "expand" and call.inputs["shard"] == "1" and call.inputs["iteration"] == "1" and call.attempt == 0
        return End.of(code if broken else 0)

    assert Walk(rendered("cpu"), ends).run(workflow(run, "lengthen")) == phase
    assert sum(call.stage == "expand" and call.inputs["shard"] == "1" and call.inputs["iteration"] == "1" for call in calls) == tries
    if phase == "Failed":
        assert not [call for call in calls if call.stage == "finetune"]


def test_a_failed_run_of_several_machines_deletes_its_jobsets() -> None:
    run = Run(name="try", iteration=1, config=load_config(ROOT / "configs" / "laptop.yaml", ["finetune.train_batch_size=4"]), nodes=2)
    calls: list[Call] = []

    def ends(call: Call) -> End:
        calls.append(call)
        return End.of(1 if call.stage == "finetune" else 0)

    assert Walk(rendered("multinode"), ends).run(workflow(run, "lengthen")) == "Failed"
    assert calls[-1].template["resource"]["flags"][-1] == f"lengthen.dev/workflow={run.workflow_name}"
    manifest = next(call for call in calls if call.stage == "finetune").template["resource"]["manifest"]
    assert "parallelism: 2" in manifest and "{{" not in manifest


class LocalPods:
    """Runs a pod's command as a process; its volumes are folders below `root`. Some pods get a signal in their first attempt."""

    def __init__(self, root: Path, signals: dict[tuple[str, str, str], int]) -> None:
        self.root, self.signals = root, signals
        self.log: list[tuple[str, int, int, str]] = []

    def __call__(self, call: Call) -> End:
        container = call.template["container"]
        mounts = "|".join(sorted(mount["mountPath"].lstrip("/") for mount in container["volumeMounts"]))
        inside = re.compile(rf"(?<![\w./-])/({mounts})(?=/|$|\s)")

        def here(text: str) -> str:
            return inside.sub(rf"{self.root}/\1", text)

        assert container["command"][0] == "python"
        words = [sys.executable, *container["command"][1:], *(here(word) for word in container["args"])]
        own = {item["name"]: here(item["value"]) for item in container["env"] if "value" in item}
        key = (call.stage, call.inputs.get("iteration", ""), call.inputs.get("shard", ""))
        number = self.signals.pop(key, None) if call.attempt == 0 else None
        if number:
            words.append("--set=engine.rows_in_flight=1")  # so that it is still running when the signal is sent
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LENGTHEN_")} | own
        environment |= {"HF_TOKEN": CANARY, "AWS_SECRET_ACCESS_KEY": CANARY, "OPENAI_API_KEY": CANARY}
        environment["HOME"] = os.environ.get("HOME", "/")  # for the cache of digests; in a pod it is /tmp
        process = subprocess.Popen(words, cwd=self.root, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        if number:
            shard = Path(here(next(word for word in container["args"] if word.startswith("--output=")).removeprefix("--output=")))
            self._send(process, shard / f"shard-{key[2]}-of-3" / ".work", number)
        stderr = process.communicate(timeout=300)[1]
        code = process.returncode
        self.log.append((call.stage, call.attempt, code, stderr))
        return End("Error") if code == -signal.SIGKILL else End.of(code if code >= 0 else 128 - code)

    def _send(self, process: subprocess.Popen[str], work: Path, number: int) -> None:
        while process.poll() is None and not list(work.glob("*.parquet")):
            time.sleep(0.01)
        process.send_signal(number)


@pytest.mark.ci
@pytest.mark.engine
def test_make_and_argo_write_the_same_datasets(tmp_path: Path, model: Path) -> None:
    """Two iterations and three shards with every pod's real command and real training. Two pods are stopped or killed once."""
    settings: dict[str, Any] = {
        "echo": {"words": 40, "loop_share": 0.2, "cut_share": 0.1, "latency_seconds": 0.1},
        "store": {"flush_rows": 1, "flush_seconds": 0.05},
        "finetune": {"num_train_epochs": 1},
        "augment": {"instructions": 9},
    }
    root = tmp_path / "cluster"
    (root / "etc" / "lengthen").mkdir(parents=True)
    (root / "models").symlink_to(model.parent)
    (root / "tmp").mkdir()
    ours = tiny.write_config(tmp_path / "make.yaml", model, **settings)
    theirs = load_config(tiny.write_config(tmp_path / "argo.yaml", Path("models") / model.name, **settings))
    run = Run(name="two", iteration=2, config=theirs, engine="echo", shards=3)
    for name, text in config_map(run, "lengthen")["data"].items():
        (root / "etc" / "lengthen" / name).write_text(text)
    pods = LocalPods(root, {("generate", "1", "1"): signal.SIGTERM, ("expand", "2", "0"): signal.SIGKILL})
    assert Walk(rendered("cpu"), pods).run(workflow(run, "lengthen")) == "Succeeded", pods.log[-1]
    tries = [(stage, attempt, code) for stage, attempt, code, _ in pods.log if attempt or code]
    assert tries == [("generate", 0, 143), ("generate", 1, 0), ("expand", 0, -9), ("expand", 1, 0)]
    again = next(stderr for stage, attempt, _, stderr in pods.log if (stage, attempt) == ("generate", 1))
    assert "resumes after" in again, again

    assert CANARY not in "".join(stderr for *_, stderr in pods.log)
    assert not [path for path in (root / "runs").rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]

    command = ["make", "iteration", "N=2", f"CONFIG={ours}", f"RUN={tmp_path / 'run'}", "ENGINE=echo"]
    environment = {**os.environ, "MAKEFLAGS": "", "COLUMNS": "140"}
    completed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert completed.returncode == 0, completed.stderr[-3000:]
    for iteration in ("iter-00", "iter-01", "iter-02"):
        for dataset, table in DATASETS.items():
            if iteration == "iter-00" and dataset != "scores":
                continue
            local, cluster = tmp_path / "run" / iteration / dataset, root / "runs" / "two" / iteration / dataset
            assert rows(local, table) == rows(cluster, table), (iteration, dataset)
            digests = [manifest.content_digest for folder in (local, cluster) if (manifest := read_manifest(folder))]
            assert len(digests) == 2 and len(set(digests)) == 1
