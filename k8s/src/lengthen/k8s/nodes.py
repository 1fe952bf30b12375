"""The tasks of a Workflow, from Argo's nodes: one for each stage and shard, with its retries, progress and the reason why it waits."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lengthen.k8s.manifests import Document

ACTIVE = {"Pending", "Running"}


@dataclass(frozen=True)
class Task:
    """One shard, role or stage of the run, with all pods that were started for it."""

    iteration: int
    stage: str
    part: str  # shard, role, or for seal the stage; else empty
    phase: str
    progress: str
    tries: int
    began: str
    ended: str
    message: str
    exit_code: int | None
    pods: tuple[str, ...]  # ids of their nodes, the newest last


def nodes_of(workflow: Document) -> dict[str, Document] | None:
    """Nodes by id; None when Argo stores them in its database (`offloadNodeStatusVersion`)."""
    status = workflow.get("status", {})
    if packed := status.get("compressedNodes"):
        unpacked: dict[str, Document] = json.loads(gzip.decompress(base64.b64decode(packed)))
        return unpacked
    if status.get("offloadNodeStatusVersion") and not status.get("nodes"):
        return None
    return status.get("nodes") or {}


def tasks_of(nodes: dict[str, Document], waiting: dict[str, str] | None = None) -> list[Task]:
    """The tasks in the order of their start times. `waiting`: why a pod waits, by its node's id."""
    reasons = waiting or {}
    retried = {child for node in nodes.values() if node.get("type") == "Retry" for child in node.get("children", [])}
    roots = [node for node in nodes.values() if node.get("type") in ("Pod", "Retry") and node.get("id") not in retried]
    tasks = [_task(node, nodes, reasons) for node in roots]
    return sorted(tasks, key=lambda task: (task.began or "9", task.iteration, task.stage, _natural(task.part)))


def _task(node: Document, nodes: dict[str, Document], waiting: dict[str, str]) -> Task:
    pods = [node] if node["type"] == "Pod" else [nodes[child] for child in node.get("children", []) if child in nodes]
    pods = [pod for pod in pods if pod.get("type") == "Pod"] or [node]
    last = pods[-1]
    inputs = {item["name"]: str(item.get("value", "")) for item in (node.get("inputs") or last.get("inputs") or {}).get("parameters", [])}
    message = waiting.get(last["id"], "") if node.get("phase") in ACTIVE else ""
    code = (last.get("outputs") or {}).get("exitCode")
    template = _template(node) or _template(last)
    sealed = template.removeprefix("seal-") if template.startswith("seal-") else ""  # seal-expand: the shards of expand
    return Task(
        iteration=int(inputs["iteration"]) if inputs.get("iteration", "").isdecimal() else 0,
        stage="seal" if sealed else template,
        part=inputs.get("shard") or inputs.get("role") or sealed,
        phase=last.get("phase", "Pending") if node.get("phase") in ACTIVE else node.get("phase", "Pending"),
        progress=last.get("progress", ""),
        tries=len(pods),
        began=node.get("startedAt") or "",
        ended=node.get("finishedAt") or "",
        message=message or last.get("message") or node.get("message") or "",
        exit_code=int(code) if code is not None and re.fullmatch(r"-?\d+", str(code)) else None,
        pods=tuple(pod["id"] for pod in pods),
    )


def _template(node: Document) -> str:
    """The WorkflowTemplate that holds the pod's template, without `lengthen-`: the one referred to, or the calling one."""
    name = (node.get("templateRef") or {}).get("name") or str(node.get("templateScope", "")).rpartition("/")[2]
    return str(name).removeprefix("lengthen-") if str(name).startswith("lengthen-") else str(node.get("displayName", ""))


def _natural(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (0, text)


def waiting_reasons(pods: list[Any]) -> dict[str, str]:
    """Why pods wait, by node id: no node with enough resources, an image that can't be pulled, a missing volume."""
    return {node: reason for pod in pods if (node := _node_id(pod)) and (reason := next(_reasons(pod), ""))}


def _node_id(pod: Any) -> str:
    return str((pod.metadata.annotations or {}).get("workflows.argoproj.io/node-id", ""))


def _reasons(pod: Any) -> Iterator[str]:
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            yield f"{condition.reason}: {condition.message}" if condition.message else str(condition.reason)
    for status in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]:
        state = status.state.waiting if status.state else None
        if state and state.reason not in (None, "PodInitializing", "ContainerCreating"):
            yield f"{state.reason}: {state.message}" if state.message else str(state.reason)


def pod_names(pods: list[Any]) -> dict[str, str]:
    """Names of pods by the id of their node."""
    return {_node_id(pod): str(pod.metadata.name) for pod in pods if _node_id(pod)}


def seconds_between(began: str, ended: str, now: datetime) -> float | None:
    if not began:
        return None
    end = datetime.fromisoformat(ended) if ended else now
    return max(0.0, (end - datetime.fromisoformat(began)).total_seconds())
