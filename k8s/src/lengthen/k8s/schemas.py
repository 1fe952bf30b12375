"""Is a manifest what the API knows? The API server drops unknown fields without a word, so they are looked for here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lengthen.k8s.manifests import Document, jobsets_of

VERSION = "1.37"  # of Kubernetes, whose schemas kubernetes-validate carries
# No package has JobSet's schema; these are its own fields that we use, and what is inside a job is core Kubernetes.
_JOBSET = {"failurePolicy", "network", "replicatedJobs", "ttlSecondsAfterFinished"}
_JOBSET_JOB = {"name", "replicas", "template"}


def schema_problems(documents: list[Document]) -> list[str]:
    return [f"{document['kind']} {document['metadata']['name']}: {problem}" for document in documents for problem in _problems(document)]


def _problems(document: Document) -> Iterator[str]:
    if document["apiVersion"].startswith("argoproj.io/"):
        yield from _argo(document)
        for jobset in jobsets_of(document):
            yield from _jobset(jobset)
    else:
        yield from _core(document)


def _core(document: Document) -> Iterator[str]:
    import kubernetes_validate

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
    """Hera's models refuse wrong types and drop unknown fields: what is missing from the dump was unknown."""
    from hera.workflows import models
    from pydantic import ValidationError

    try:
        model = getattr(models, document["kind"]).model_validate(document)
    except ValidationError as error:
        yield from (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return
    yield from _lost(document, model.model_dump(mode="json", by_alias=True, exclude_unset=True), "")


def _lost(source: Any, dumped: Any, path: str) -> Iterator[str]:
    if isinstance(source, dict) and isinstance(dumped, dict):
        for key, value in source.items():
            if key not in dumped:
                yield f"{path}{key}: no such field"
            else:
                yield from _lost(value, dumped[key], f"{path}{key}.")
    elif isinstance(source, list) and isinstance(dumped, list) and len(source) == len(dumped):
        for number, (inner, other) in enumerate(zip(source, dumped, strict=True)):
            yield from _lost(inner, other, f"{path}{number}.")
    elif re.sub(r"\s", "", str(source)).lower() != re.sub(r"\s", "", str(dumped)).lower():
        yield f"{path.rstrip('.')}: {source!r} is read as {dumped!r}"
