"""Send a run to the cluster, once: the same submit again attaches, reports or tries again, and never pays twice."""

from __future__ import annotations

import time
from typing import Literal

from lengthen.common.errors import TransientError, UserError
from lengthen.common.progress import say
from lengthen.k8s.cluster import Cluster, Conflict
from lengthen.k8s.manifests import pods_of
from lengthen.k8s.names import check_image
from lengthen.k8s.workflow import Run, config_map, workflow

TEMPLATES = ("iteration", "fetch", "augment", "demands", "generate", "expand", "finetune", "evaluate", "seal", "summary")
_FINISHED = {"Succeeded", "Failed", "Error"}
_DELETION_SECONDS = 600.0

Outcome = Literal["submitted", "attached", "succeeded", "resubmitted"]


def submit(cluster: Cluster, run: Run, poll_seconds: float = 2.0) -> Outcome:
    """Make the cluster work on `run`.

    Returns:
        submitted: a new Workflow; attached: it was at work already; succeeded: it had been done before; resubmitted: it had
        failed, and goes on from what was finished.

    Raises:
        UserError: the templates aren't there, their images are no fixed versions, or the cluster refuses.
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
        if existing is None:  # deleted between the two calls
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
    raise TransientError(f"Workflow {name} is still ending after {_DELETION_SECONDS:.0f} s; look at its pods and finalizers")


def _delete(cluster: Cluster, existing: dict[str, object]) -> None:
    try:
        cluster.delete_workflow(existing)
    except Conflict:
        say("another client was faster with the failed Workflow")


def check_templates(cluster: Cluster) -> None:
    """Raises: UserError: an overlay was not applied, or its images could be anything."""
    found = {name: cluster.template(f"lengthen-{name}") for name in TEMPLATES}
    if missing := [f"lengthen-{name}" for name, document in found.items() if document is None]:
        raise UserError(
            f"namespace {cluster.namespace} has no WorkflowTemplate {', '.join(missing)}; "
            "an admin applies them: kubectl apply -k k8s/overlays/gpu"
        )
    for pod in pods_of([document for document in found.values() if document]):
        check_image(pod.image)
