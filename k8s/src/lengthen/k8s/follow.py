"""Follow a Workflow to its end, and end with the truth about it."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext

from lengthen.common.errors import EXIT_SIGINT, EXIT_SIGTERM, EXIT_TRANSIENT, EXIT_USER
from lengthen.common.progress import console, say
from lengthen.k8s.cluster import Cluster
from lengthen.k8s.manifests import Document
from lengthen.k8s.nodes import Line, lines_of, nodes_of, pod_names, waiting_reasons
from lengthen.k8s.table import plain, table_of
from rich.live import Live

_DETACH_SECONDS = 3.0
_LOG_LINES = 20
_PERMANENT = (1, EXIT_USER)


def follow(cluster: Cluster, name: str, poll_seconds: float = 5.0) -> int:
    """Show Workflow `name` until it ends. Ctrl-C lets go of it, a second one stops it.

    Returns:
        0: it succeeded; 1 or 2: a pod failed for good, with that code; 75: it failed, or is gone, but the same submit goes on
        from there; 143: it was stopped by someone; 130: it goes on in the cluster without us, or was stopped from here.
    """
    try:
        return _watch(cluster, name, poll_seconds)
    except KeyboardInterrupt:
        return _let_go(cluster, name)


def _watch(cluster: Cluster, name: str, poll_seconds: float) -> int:
    live = Live(console=console, auto_refresh=False) if sys.stderr.isatty() else None
    said: set[str] = set()
    with live or nullcontext():
        while True:
            workflow = cluster.workflow(name)
            if workflow is None:
                say(f"Workflow {name} is gone: someone deleted it; the same submit goes on from what is finished")
                return EXIT_TRANSIENT
            lines = look(cluster, workflow)
            if live:
                live.update(table_of(workflow, lines), refresh=True)
            else:
                _say_changes(workflow, lines, said)
            if workflow.get("status", {}).get("phase") in ("Succeeded", "Failed", "Error"):
                break
            time.sleep(poll_seconds)
    return _verdict(cluster, workflow, lines)


def look(cluster: Cluster, workflow: Document) -> list[Line]:
    """A Workflow's lines; pods are asked for only while some wait, to say why."""
    nodes = nodes_of(workflow)
    if nodes is None:
        say("Argo keeps this Workflow's nodes in its database: no table, only the end")
        return []
    waits = any(node.get("type") == "Pod" and node.get("phase") == "Pending" for node in nodes.values())
    return lines_of(nodes, waiting_reasons(cluster.pods(workflow["metadata"]["name"])) if waits else {})


def _say_changes(workflow: Document, lines: list[Line], said: set[str]) -> None:
    status = workflow.get("status", {})
    waits = status.get("message") if status.get("phase", "") in ("", "Pending", "Running") else ""  # such as for the mutex
    if waits and waits not in said:
        said.add(waits)
        say(plain(f"{workflow['metadata']['name']}: {waits}"))
    for line in lines:
        part = f" {line.part}" if line.part else ""
        tries = f", try {line.tries}" if line.tries > 1 else ""
        message = f": {line.message}" if line.message and line.phase != "Succeeded" else ""
        news = plain(f"iteration {line.iteration} {line.stage}{part}: {line.phase}{tries}{message}")
        if news not in said:
            said.add(news)
            say(news)


def _verdict(cluster: Cluster, workflow: Document, lines: list[Line]) -> int:
    status, name = workflow["status"], workflow["metadata"]["name"]
    if status["phase"] == "Succeeded":
        say(f"{name} succeeded")
        return 0
    say(plain(f"{name}: {status['phase']}: {status.get('message') or 'no message'}"))
    if workflow.get("spec", {}).get("shutdown"):
        return EXIT_SIGTERM
    failed = [line for line in lines if line.phase in ("Failed", "Error")]
    names = pod_names(cluster.pods(name)) if failed else {}
    for line in failed:
        say(plain(f"iteration {line.iteration} {line.stage} {line.part}: exit code {line.exit_code}, {line.message}"))
        if log := cluster.log(names[line.pods[-1]], _LOG_LINES) if line.pods[-1] in names else "":
            say(plain(log))
    return next((line.exit_code for line in failed if line.exit_code in _PERMANENT), EXIT_TRANSIENT)


def _let_go(cluster: Cluster, name: str) -> int:
    say(f"{name} goes on without us; Ctrl-C again within {_DETACH_SECONDS:.0f} s stops it")
    try:
        time.sleep(_DETACH_SECONDS)
    except KeyboardInterrupt:
        cluster.stop_workflow(name)
        say(f"{name} is asked to stop; its pods save what is finished, and the same submit goes on from there")
    return EXIT_SIGINT


def show_once(cluster: Cluster, workflow: Document) -> None:
    """The table as it is now, to stdout."""
    from rich.console import Console

    Console(highlight=False).print(table_of(workflow, look(cluster, workflow)))


def show_logs(cluster: Cluster, workflow: Document, stage: str | None, part: str | None, lines: int) -> int:
    """The ends of the logs of a run's pods, to stdout; returns of how many."""
    from click import echo

    names, shown = pod_names(cluster.pods(workflow["metadata"]["name"])), 0
    for line in look(cluster, workflow):
        if (stage and line.stage != stage) or (part and line.part != part):
            continue
        for number, pod in enumerate(line.pods, start=1):
            if pod in names and (log := cluster.log(names[pod], lines)):
                echo(plain(f"== iteration {line.iteration} {line.stage} {line.part} try {number}: {line.phase}"))
                echo(plain(log))
                shown += 1
    return shown
