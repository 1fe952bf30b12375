"""A run as objects of the cluster: the ConfigMap with its settings, and the Workflow."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from lengthen.common.config import Config
from lengthen.common.errors import UserError
from lengthen.k8s.manifests import Document
from lengthen.k8s.names import check_iteration, check_model_folder, check_model_source, check_run, check_store

_LABELS = {"app.kubernetes.io/part-of": "lengthen"}
_MAX_FILES = 900_000  # bytes: a ConfigMap takes a MiB, names and all
_MOUNTED = "/etc/lengthen"


@dataclass(frozen=True)
class Run:
    """What is submitted: checked when it is made.

    Raises:
        UserError: a name, number or place that can't be used on a cluster.
    """

    name: str
    iteration: int
    config: Config
    engine: str = "vllm"
    shards: int = 1
    nodes: int = 1
    store: str = "/runs"
    model_source: str = ""
    release: bool = False  # a release after the last iteration, too
    files: dict[str, str] = field(default_factory=dict)  # seeds.jsonl, benchmark.jsonl

    def __post_init__(self) -> None:
        check_run(self.name)
        check_iteration(self.iteration)
        check_store(self.store)
        check_model_folder(str(self.config.model.path))
        check_model_source(self.model_source)
        if self.shards < 1 or self.nodes < 1:
            raise UserError("shards and nodes must be 1 or more")
        finetune = self.config.finetune
        if finetune.rows_per_step % (at_once := finetune.rows_per_device * finetune.processes * self.nodes):
            raise UserError(
                f"finetune.rows_per_step: {finetune.rows_per_step} is no multiple of rows_per_device x processes x nodes; "
                f"set it to a multiple of {at_once}"
            )
        if (size := sum(len(text.encode()) for text in self.data.values())) > _MAX_FILES:
            raise UserError(f"config, seeds and benchmark have {size:,} bytes together; a ConfigMap takes {_MAX_FILES:,}")

    @property
    def data(self) -> dict[str, str]:
        """The files that the pods find in /etc/lengthen."""
        return {"config.yaml": yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), **self.files}

    @property
    def root(self) -> str:
        return f"{self.store.rstrip('/')}/{self.name}"

    @property
    def workflow_name(self) -> str:
        """Of run, iteration and the digest of everything else, so that the same submit meets its own Workflow again."""
        return f"{self.name}-n{self.iteration}-{_digest([self.data, self.parameters, self.release])}"

    @property
    def config_name(self) -> str:
        return f"{self.name}-{_digest(self.data)}"

    @property
    def parameters(self) -> dict[str, str]:
        return {
            "root": self.root,
            "iterations": str(self.iteration),
            "config": self.config_name,
            "engine": self.engine,
            "shards": str(self.shards),
            "seeds": f"{_MOUNTED}/seeds.jsonl" if "seeds.jsonl" in self.files else "",
            "benchmark": f"{_MOUNTED}/benchmark.jsonl" if "benchmark.jsonl" in self.files else "",
            "model": self.model_source,
            "model-folder": str(self.config.model.path),
            "engine-gpus": str(self.config.engine.tensor_parallel),
            "training-gpus": str(self.config.finetune.processes),
            "training-nodes": str(self.nodes),
            **self._release,
        }

    @property
    def _release(self) -> dict[str, str]:
        """As in the Makefile: of two answers that are alike the one in the earlier input stays, so the longest come first."""
        folder, iterations = f"{self.root}/release-{self.iteration:02d}", range(1, self.iteration + 1)
        here = {number: f"{self.root}/iter-{number:02d}" for number in iterations}
        longest = [f"{here[number]}/expansions" for number in reversed(iterations)]
        shorter = [f"{here[number]}/responses" for number in reversed(iterations)]
        return {
            "release": folder,
            "release-iteration": str(self.iteration + 1),
            "release-generator": f"{here[self.iteration]}/generator",
            "release-instructions": " ".join(f"{here[number]}/instructions" for number in iterations),
            "release-answers": " ".join([*longest, f"{folder}/responses", *shorter]),
        }


def config_map(run: Run, namespace: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": run.config_name, "namespace": namespace, "labels": _LABELS | {"lengthen.dev/run": run.name}},
        "immutable": True,
        "data": run.data,
    }


def workflow(run: Run, namespace: str) -> Document:
    """The Workflow. One of a run works at a time: another one of the same run waits for the mutex."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": run.workflow_name,
            "namespace": namespace,
            "labels": _LABELS | {"lengthen.dev/run": run.name},
        },
        "spec": {
            "workflowTemplateRef": {"name": "lengthen-iteration"},
            "entrypoint": "release" if run.release else "run",
            "arguments": {"parameters": [{"name": name, "value": value} for name, value in run.parameters.items()]},
            "synchronization": {"mutexes": [{"name": f"lengthen-{run.name}"}]},
        },
    }


def read_file(path: Path) -> str:
    """Raises: UserError: not a text file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read as text: {error}") from error


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
