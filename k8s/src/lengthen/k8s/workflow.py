"""A run as objects of the cluster: the ConfigMap with its settings and files, and the Workflow."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from lengthen.common.config.load import Config
from lengthen.common.process.errors import UserError
from lengthen.k8s.manifests import Document
from lengthen.k8s.names import check_iteration, check_model_folder, check_model_source, check_run, check_store

_LABELS = {"app.kubernetes.io/part-of": "lengthen"}
_MAX_FILES = 900_000  # bytes: a ConfigMap may have 1 MiB, names included
_MOUNTED = "/etc/lengthen"


@dataclass(frozen=True)
class Run:
    """What is submitted. Its values are checked when it is created.

    Raises:
        UserError: a name, number, folder or address that can't be used on a cluster.
    """

    name: str
    iteration: int
    config: Config
    engine: str = "vllm"
    shards: int = 1
    nodes: int = 1
    store: str = "/runs"
    model_source: str = ""
    release: bool = False  # a release after the last iteration
    files: dict[str, str] = field(default_factory=dict)  # seeds.jsonl, benchmark.jsonl

    def __post_init__(self) -> None:
        check_run(self.name)
        check_iteration(self.iteration)
        check_store(self.store)
        check_model_folder(str(self.config.model.path))
        check_model_source(self.model_source)
        if self.shards < 1 or self.nodes < 1:
            raise UserError("shards and nodes must be 1 or more")
        finetune, runtime = self.config.finetune, self.config.finetune.runtime
        groups = max(1, runtime.nproc_per_node * self.nodes // runtime.sequence_parallel_size)  # ranks that share rows count as one
        if finetune.train_batch_size % (at_once := runtime.per_device_train_batch_size * groups):
            raise UserError(
                f"finetune.train_batch_size: {finetune.train_batch_size} is not a multiple of "
                f"per_device_train_batch_size x nproc_per_node x nodes / sequence_parallel_size; set it to a multiple of {at_once}"
            )
        if (size := sum(len(text.encode()) for text in self.data.values())) > _MAX_FILES:
            raise UserError(f"config, seeds and benchmark have {size:,} bytes together; a ConfigMap holds at most {_MAX_FILES:,}")

    @property
    def data(self) -> dict[str, str]:
        """The files that are mounted in the pods at /etc/lengthen."""
        return {"config.yaml": yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), **self.files}

    @property
    def root(self) -> str:
        return f"{self.store.rstrip('/')}/{self.name}"

    @property
    def workflow_name(self) -> str:
        """From run, iteration and a digest of everything else, so that the same submit always names the same Workflow."""
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
            "engine-gpus": str(self.config.engine.tensor_parallel_size),
            "training-gpus": str(self.config.finetune.runtime.nproc_per_node),
            "training-nodes": str(self.nodes),
            **self._release,
        }

    @property
    def _release(self) -> dict[str, str]:
        """As in the Makefile: of two near duplicates the answer in the earlier input is kept, so the longest come first."""
        release, iterations = f"{self.root}/release-{self.iteration:02d}", range(1, self.iteration + 1)
        folders = {number: f"{self.root}/iter-{number:02d}" for number in iterations}
        expansions = [f"{folders[number]}/expansions" for number in reversed(iterations)]
        responses = [f"{folders[number]}/responses" for number in reversed(iterations)]
        return {
            "release": release,
            "release-iteration": str(self.iteration + 1),
            "release-generator": f"{folders[self.iteration]}/generator",
            "release-instructions": " ".join(f"{folders[number]}/instructions" for number in iterations),
            "release-answers": " ".join([*expansions, f"{release}/responses", *responses]),
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
    """The Workflow. A mutex lets only one Workflow of a run work at a time; another one waits."""
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
    """Raises: UserError: missing, or not a text file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read as text: {error}") from error


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
