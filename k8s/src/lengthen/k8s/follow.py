"""Show a Workflow until it ends, and exit with the code of its outcome."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import nullcontext
from threading import Event
from types import FrameType

from lengthen.common.process.errors import EXIT_SIGINT, EXIT_SIGTERM, EXIT_TRANSIENT, EXIT_USER
from lengthen.common.process.progress import console, say
from lengthen.k8s.cluster import Cluster
from lengthen.k8s.manifests import Document
from lengthen.k8s.nodes import Task, nodes_of, pod_names, tasks_of, waiting_reasons
from lengthen.k8s.table import plain, table_of
from rich.live import Live

_DETACH_SECONDS = 3.0
_LOG_LINES = 20
_PERMANENT = (1, EXIT_USER)


def follow(cluster: Cluster, name: str, poll_seconds: float = 5.0) -> int:
    """Show Workflow `name` until it ends. Ctrl-C detaches from it; a second Ctrl-C stops it.

    Returns:
        0: it succeeded; 1 or 2: a pod failed permanently with that code; 75: it failed, or was deleted, and the same submit
        resumes it; 143: someone stopped it; 130: Ctrl-C, it continues on the cluster or was stopped by the second Ctrl-C.
    """
    interrupted = Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        return _watch(cluster, name, poll_seconds, interrupted)
    except KeyboardInterrupt:
        return _detach(cluster, name)
    finally:
        signal.signal(signal.SIGINT, before)


def _watch(cluster: Cluster, name: str, poll_seconds: float, interrupted: Event) -> int:
    """Poll until the Workflow ends.

    `interrupted` is set by Ctrl-C. An exception from a signal is lost when it arrives while Python runs a destructor, so the
    flag is checked in each round as well.
    """
    live = Live(console=console, auto_refresh=False) if sys.stderr.isatty() else None
    said: set[str] = set()
    with live or nullcontext():
        while True:
            workflow = cluster.workflow(name)
            if workflow is None:
                say(f"Workflow {name} was deleted; the same submit resumes from the finished work")
                return EXIT_TRANSIENT
            tasks = current_tasks(cluster, workflow)
            if live:
                live.update(table_of(workflow, tasks), refresh=True)
            else:
                _say_changes(workflow, tasks, said)
            if workflow.get("status", {}).get("phase") in ("Succeeded", "Failed", "Error"):
                break
            if interrupted.is_set():
                raise KeyboardInterrupt
            time.sleep(poll_seconds)
    return _exit_code(cluster, workflow, tasks)


def current_tasks(cluster: Cluster, workflow: Document) -> list[Task]:
    """A Workflow's tasks. The pods are listed only while some are pending, for the reasons why they wait."""
    nodes = nodes_of(workflow)
    if nodes is None:
        say("Argo stores this Workflow's nodes in its database: no table is shown, only the outcome")
        return []
    pending = any(node.get("type") == "Pod" and node.get("phase") == "Pending" for node in nodes.values())
    return tasks_of(nodes, waiting_reasons(cluster.pods(workflow["metadata"]["name"])) if pending else {})


def _say_changes(workflow: Document, tasks: list[Task], said: set[str]) -> None:
    """Without a terminal: one line for each change, each once."""
    status = workflow.get("status", {})
    waits = status.get("message") if status.get("phase", "") in ("", "Pending", "Running") else ""  # such as for the mutex
    if waits and waits not in said:
        said.add(waits)
        say(plain(f"{workflow['metadata']['name']}: {waits}"))
    for task in tasks:
        part = f" {task.part}" if task.part else ""
        tries = f", try {task.tries}" if task.tries > 1 else ""
        message = f": {task.message}" if task.message and task.phase != "Succeeded" else ""
        change = plain(f"iteration {task.iteration} {task.stage}{part}: {task.phase}{tries}{message}")
        if change not in said:
            said.add(change)
            say(change)


def _exit_code(cluster: Cluster, workflow: Document, tasks: list[Task]) -> int:
    """Say how the Workflow ended, with the logs of the pods that failed."""
    status, name = workflow["status"], workflow["metadata"]["name"]
    if status["phase"] == "Succeeded":
        say(f"{name} succeeded")
        return 0
    say(plain(f"{name}: {status['phase']}: {status.get('message') or 'no message'}"))
    if workflow.get("spec", {}).get("shutdown"):
        return EXIT_SIGTERM
    failed = [task for task in tasks if task.phase in ("Failed", "Error")]
    names = pod_names(cluster.pods(name)) if failed else {}
    for task in failed:
        say(plain(f"iteration {task.iteration} {task.stage} {task.part}: exit code {task.exit_code}, {task.message}"))
        if log := cluster.log(names[task.pods[-1]], _LOG_LINES) if task.pods[-1] in names else "":
            say(plain(log))
    return next((task.exit_code for task in failed if task.exit_code in _PERMANENT), EXIT_TRANSIENT)


def _detach(cluster: Cluster, name: str) -> int:
    say(f"detached: {name} continues on the cluster; Ctrl-C again within {_DETACH_SECONDS:.0f} s stops it")
    try:
        time.sleep(_DETACH_SECONDS)
    except KeyboardInterrupt:
        cluster.stop_workflow(name)
        say(f"{name} is stopping; its pods save finished work, and the same submit resumes from it")
    return EXIT_SIGINT


def show_once(cluster: Cluster, workflow: Document) -> None:
    """Print the current table to stdout."""
    from rich.console import Console

    Console(highlight=False).print(table_of(workflow, current_tasks(cluster, workflow)))


def show_logs(cluster: Cluster, workflow: Document, stage: str | None, part: str | None, lines: int) -> int:
    """Print the last lines of the logs of a run's pods to stdout; returns the number of logs."""
    from click import echo

    names, shown = pod_names(cluster.pods(workflow["metadata"]["name"])), 0
    for task in current_tasks(cluster, workflow):
        if (stage and task.stage != stage) or (part and task.part != part):
            continue
        for number, pod in enumerate(task.pods, start=1):
            if pod in names and (log := cluster.log(names[pod], lines)):
                echo(plain(f"== iteration {task.iteration} {task.stage} {task.part} try {number}: {task.phase}"))
                echo(plain(log))
                shown += 1
    return shown
