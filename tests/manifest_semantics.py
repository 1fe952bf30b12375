"""Rules for manifests that no schema contains: tasks and `{{…}}` must resolve, and a pod may have only the rights that it needs.

Each function returns every problem that it finds, as `WorkflowTemplate/template: what`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lengthen.common.process.errors import UserError
from lengthen.k8s.manifests import Document, Pod, pods_of, templates_of
from lengthen.k8s.names import MAX_RUN, check_image

PLACEHOLDER = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)
TYPES = {"container", "containerSet", "dag", "data", "http", "plugin", "resource", "script", "steps", "suspend"}
_SHELLS = {"sh", "bash", "ash", "dash", "zsh", "-c", "-lc", "env", "eval"}
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY|ACCESS_KEY", re.IGNORECASE)
_REFERENCE = re.compile(r"\b(inputs\.parameters|workflow\.parameters)(?:\.([\w-]+)|\['([^']+)'\])|\b(workflow\.name|item)\b")
_EXPRESSION_WORDS = re.compile(r"'[^']*'|\b(asInt|true|false|and|or|not|in)\b|[\d\s()+<>=!?:&|,\[\].-]+")


def problems(documents: list[Document]) -> list[str]:
    checks = (name_problems, template_problems, reference_problems, pod_problems, secret_problems)
    return [problem for check in checks for problem in check(documents)]


def name_problems(documents: list[Document]) -> list[str]:
    """Labels and host names have at most 63 characters. A pod's name consists of the names of its Workflow and template."""
    named = [document["metadata"]["name"] for document in documents] + [own for _, own in templates_of(documents)]
    found = [f"{name}: not a valid name for Kubernetes" for name in named if not _NAME.fullmatch(name)]
    longest = MAX_RUN + len("-n99-12345678")
    found += [f"{own}: too long after a Workflow's name" for _, own in templates_of(documents) if longest + len(own) + 12 > 63]
    for pod in pods_of(documents):
        labels = pod.spec.get("metadata", {}).get("labels", {})
        found += [f"{pod.where}: label {key} is too long" for key, value in labels.items() if len(PLACEHOLDER.sub("99", value)) > 63]
    return found


def template_problems(documents: list[Document]) -> list[str]:
    """Every template has one type; the tasks, templates and arguments that it refers to exist."""
    templates = templates_of(documents)
    found = []
    for (name, own), template in templates.items():
        if len(TYPES & template.keys()) != 1:
            found.append(f"{name}/{own}: must have one type, has {sorted(TYPES & template.keys())}")
        tasks = template.get("dag", {}).get("tasks", [])
        names = [task["name"] for task in tasks]
        found += [f"{name}/{own}: two tasks are named {task}" for task in sorted({task for task in names if names.count(task) > 1})]
        for task in tasks:
            where = f"{name}/{own}/{task['name']}"
            for needed in re.findall(r"[\w-]+(?=[.\s)&|]|$)", re.sub(r"\.\w+", "", task.get("depends", ""))):
                if needed not in names or needed == task["name"]:
                    found.append(f"{where}: depends on {needed}, which is not another task of this template")
            found += _call_problems(where, name, task, templates)
    found += [f"{document['metadata']['name']}: {problem}" for document in documents for problem in _entry_problems(document)]
    return found


def _call_problems(where: str, own: str, task: Document, templates: dict[tuple[str, str], Document]) -> Iterator[str]:
    reference = task.get("templateRef", {"name": own, "template": task.get("template", "")})
    target = templates.get((reference["name"], reference["template"]))
    if target is None:
        yield f"{where}: no template {reference['name']}/{reference['template']}"
        return
    inputs = target.get("inputs", {}).get("parameters", [])
    given = {item["name"] for item in task.get("arguments", {}).get("parameters", [])}
    needed = {item["name"] for item in inputs if "default" not in item and "value" not in item}
    if given - {item["name"] for item in inputs} or needed - given:
        yield f"{where}: gives {sorted(given)}, but {reference['name']}/{reference['template']} needs {sorted(needed)}"


def _entry_problems(document: Document) -> Iterator[str]:
    spec = document.get("spec", {})
    names = {template["name"] for template in spec.get("templates", [])}
    for key in ("entrypoint", "onExit"):
        if document["kind"] == "WorkflowTemplate" and key in spec and spec[key] not in names:
            yield f"{key} {spec[key]} is not one of its templates"


def reference_problems(documents: list[Document]) -> list[str]:
    """Every `{{…}}` resolves. An expression has only numbers, strings, operators and names that resolve."""
    found = []
    for document in documents:
        if document["kind"] != "WorkflowTemplate":
            continue
        known = {f"workflow.parameters.{item['name']}" for item in document["spec"].get("arguments", {}).get("parameters", [])}
        for template in document["spec"]["templates"]:
            inputs = {f"inputs.parameters.{item['name']}" for item in template.get("inputs", {}).get("parameters", [])}
            looped = [task for task in template.get("dag", {}).get("tasks", []) if "withSequence" in task or "withItems" in task]
            where = f"{document['metadata']['name']}/{template['name']}"
            for text in strings_of(template):
                items = {"item"} if any(text in strings_of(task) for task in looped) else set()
                found += [f"{where}: {problem}" for problem in _unresolved(text, known | inputs | items | {"workflow.name"})]
    return found


def _unresolved(text: str, known: set[str]) -> Iterator[str]:
    for inner in PLACEHOLDER.findall(text):
        used = {f"{match[0]}.{match[1] or match[2]}" if match[0] else match[3] for match in _REFERENCE.findall(inner)}
        rest = _REFERENCE.sub("", inner.removeprefix("="))
        plain = _EXPRESSION_WORDS.sub("", rest) if inner.startswith("=") else rest.strip()
        if used - known or plain or not used:
            yield f"{{{{{inner}}}}} does not resolve"


def pod_problems(documents: list[Document]) -> list[str]:
    """Every pod has resources, node selection and a security context; no parameter becomes shell text."""
    return [f"{pod.where}: {problem}" for pod in pods_of(documents) for problem in _pod_problems(pod)]


def _pod_problems(pod: Pod) -> Iterator[str]:
    container, spec = pod.container, pod.spec
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
        yield "resources must have requests of cpu and memory, and a limit of memory"
    if not spec.get("nodeSelector") or not spec.get("tolerations"):
        yield "nodeSelector and tolerations are missing"
    pod_security, container_security = spec.get("securityContext", {}), container.get("securityContext", {})
    profile = {"type": "RuntimeDefault"}
    if not pod_security.get("runAsNonRoot") or not pod_security.get("runAsUser") or pod_security.get("seccompProfile") != profile:
        yield "securityContext of the pod must have runAsNonRoot, a numeric runAsUser and seccompProfile RuntimeDefault"
    if container_security != {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}:
        yield "securityContext of the container must forbid privilege escalation, capabilities and writes to the root file system"
    if spec.get("automountServiceAccountToken") is not False or not spec.get("serviceAccountName"):
        yield "a pod needs a service account, and must not mount its token"
    words = [str(word) for word in (*container.get("command", []), *container.get("args", []))]
    if not container.get("command") or _SHELLS & {word.rpartition("/")[2] for word in words}:
        yield "command must be a program and not a shell: parameters would become shell text"
    mounts, volumes = container.get("volumeMounts", []), {volume["name"] for volume in spec.get("volumes", [])}
    yield from (f"volume {mount['name']} is not defined" for mount in mounts if mount["name"] not in volumes)
    yield from _patch_problems(spec.get("podSpecPatch", "{}"))
    try:
        check_image(pod.image)
    except UserError as error:
        yield str(error)


def _patch_problems(patch: str) -> Iterator[str]:
    try:
        json.loads(patch)
    except ValueError as error:
        yield f"podSpecPatch is not valid JSON: {error}"


def secret_problems(documents: list[Document]) -> list[str]:
    """Secrets are referred to by name; no manifest contains their values."""
    found = [f"Secret {document['metadata']['name']}: contains data" for document in documents if {"data", "stringData"} & _keys(document)]
    for pod in pods_of(documents):
        named = [item for item in pod.container.get("env", []) if _SECRET.search(item["name"]) and "value" in item]
        found += [f"{pod.where}: {item['name']} must come from a Secret" for item in named]
    return found


def _keys(document: Document) -> set[Any]:
    return set(document) if document["kind"] == "Secret" else set()


def strings_of(value: Any) -> Iterator[str]:
    """Every string in a nested value, without the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_of(inner)
