"""Validation of manifests against the schemas of Kubernetes and Argo. The API server silently drops unknown fields; these checks find
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
from hera.workflows import models
from lengthen.k8s.manifests import Document, jobset_of
from pydantic import ValidationError

VERSION = "1.37"  # of Kubernetes; kubernetes-validate contains its schemas
# No package has JobSet's schema. These are the fields that we use; a job inside it is core Kubernetes.
_JOBSET = {"failurePolicy", "network", "replicatedJobs", "ttlSecondsAfterFinished"}
_JOBSET_JOB = {"name", "replicas", "template"}


def schema_problems(documents: list[Document]) -> list[str]:
    """Every unknown field and wrong type, as `Kind name: path: what`."""
    return [f"{document['kind']} {document['metadata']['name']}: {problem}" for document in documents for problem in _problems(document)]


def _problems(document: Document) -> Iterator[str]:
    if document["apiVersion"].startswith("argoproj.io/"):
        yield from _argo(document)
        for template in document["spec"].get("templates", []):
            if jobset := jobset_of(template):
                yield from _jobset(jobset)
    else:
        yield from _core(document)


def _core(document: Document) -> Iterator[str]:
    try:
        kubernetes_validate.validate(document, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(map(str, error.path))}: {error.message}"


def _jobset(jobset: Document) -> Iterator[str]:
    yield from (f"JobSet.spec.{name}: no such field" for name in jobset["spec"].keys() - _JOBSET)
    for job in jobset["spec"]["replicatedJobs"]:
        yield from (f"JobSet.spec.replicatedJobs.{name}: no such field" for name in job.keys() - _JOBSET_JOB)
        inner = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job["name"]}, "spec": job["template"]["spec"]}
        yield from (f"JobSet {problem}" for problem in _core(inner))


def _argo(document: Document) -> Iterator[str]:
    """Hera's models refuse wrong types but drop unknown fields. So a field that is missing in the dump was unknown."""
    try:
        model = getattr(models, document["kind"]).model_validate(document)
    except ValidationError as error:
        yield from (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return
    yield from _dropped(document, model.model_dump(mode="json", by_alias=True, exclude_unset=True), "")


def _dropped(source: Any, dumped: Any, path: str) -> Iterator[str]:
    if isinstance(source, dict) and isinstance(dumped, dict):
        for key, value in source.items():
            if key not in dumped:
                yield f"{path}{key}: no such field"
            else:
                yield from _dropped(value, dumped[key], f"{path}{key}.")
    elif isinstance(source, list) and isinstance(dumped, list) and len(source) == len(dumped):
        for number, (inner, other) in enumerate(zip(source, dumped, strict=True)):
            yield from _dropped(inner, other, f"{path}{number}.")
    elif re.sub(r"\s", "", str(source)).lower() != re.sub(r"\s", "", str(dumped)).lower():
        yield f"{path.rstrip('.')}: {source!r} is read as {dumped!r}"
