"""Submit a run to the cluster exactly once: the same submit again attaches to it, reports its success, or resubmits it."""

from __future__ import annotations

import time
from typing import Literal

from lengthen.common.process.errors import EXIT_SIGINT, TransientError, UserError
from lengthen.common.process.progress import say
from lengthen.k8s.cluster import Cluster, Conflict
from lengthen.k8s.follow import follow
from lengthen.k8s.manifests import pods_of
from lengthen.k8s.names import check_image
from lengthen.k8s.workflow import Run, config_map, workflow

TEMPLATES = (
    "iteration", "fetch", "augment", "demands", "generate", "expand", "finetune", "evaluate",
    "seal-generate", "seal-expand", "seal-evaluate", "summary",
)  # fmt: skip
_FINISHED = {"Succeeded", "Failed", "Error"}
_DELETION_SECONDS = 600.0

Outcome = Literal["submitted", "attached", "succeeded", "resubmitted"]


def submit_and_follow(cluster: Cluster, run: Run, attached: bool) -> int:
    """Submit `run` and, if `attached`, show it until it ends.

    Returns:
        The exit code: 0 when nothing is followed, else that of `follow`; 130: Ctrl-C during the submit.

    Raises:
        UserError: as `submit`.
    """
    try:
        outcome = submit(cluster, run)
    except KeyboardInterrupt:
        say(f"{run.workflow_name}: interrupted, possibly after it was sent; `status` shows it, and the same submit attaches to it")
        return EXIT_SIGINT
    say(f"{run.workflow_name}: {outcome}; its data: {run.root}")
    return follow(cluster, run.workflow_name) if attached and outcome != "succeeded" else 0


def submit(cluster: Cluster, run: Run, poll_seconds: float = 2.0) -> Outcome:
    """Create the Workflow of `run`, unless it exists and has not failed.

    Returns:
        submitted: a new Workflow; attached: the Workflow is running already; succeeded: it has succeeded before;
        resubmitted: it had failed, and a new one resumes from the finished work.

    Raises:
        UserError: the templates are missing, their images have no fixed version, or the cluster refuses the request.
        TransientError: the failed Workflow is not deleted in time.
    """
    check_templates(cluster)
    cluster.create_config(config_map(run, cluster.namespace))
    name, failed = run.workflow_name, False
    deadline = time.monotonic() + _DELETION_SECONDS
    while time.monotonic() < deadline:
        try:
            cluster.create_workflow(workflow(run, cluster.namespace))
            return "resubmitted" if failed else "submitted"
        except Conflict:
            existing = cluster.workflow(name)
        if existing is None:  # deleted between the two requests
            continue
        phase = existing.get("status", {}).get("phase", "")
        stopping = existing["spec"].get("shutdown") and phase not in _FINISHED
        if stopping or existing["metadata"].get("deletionTimestamp"):
            time.sleep(poll_seconds)
        elif phase == "Succeeded":
            return "succeeded"
        elif phase not in _FINISHED:
            return "resubmitted" if failed else "attached"
        else:
            failed = True
            _delete(cluster, existing)
    raise TransientError(f"Workflow {name} has not ended after {_DELETION_SECONDS:.0f} s; look at its pods and finalizers")


def _delete(cluster: Cluster, existing: dict[str, object]) -> None:
    try:
        cluster.delete_workflow(existing)
    except Conflict:
        say("another client has replaced the failed Workflow already")


def check_templates(cluster: Cluster) -> None:
    """Raises: UserError: a template is missing in the namespace, or one of their images has no fixed version."""
    found = {name: cluster.template(f"lengthen-{name}") for name in TEMPLATES}
    if missing := [f"lengthen-{name}" for name, document in found.items() if document is None]:
        raise UserError(
            f"namespace {cluster.namespace} has no WorkflowTemplate {', '.join(missing)}; "
            "an admin applies them: kubectl apply -k k8s/overlays/gpu"
        )
    for pod in pods_of([document for document in found.values() if document]):
        check_image(pod.image)
