"""Copy a run's data from the cluster's volume to this machine: a pod mounts the volume, and `kubectl exec` runs tar in it."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lengthen.common.process.errors import TransientError, UserError
from lengthen.common.process.progress import say
from lengthen.common.store.manifest import MANIFEST
from lengthen.k8s.cluster import Cluster, Conflict
from lengthen.k8s.manifests import Document, kubectl, pods_of

_TEMPLATE = "lengthen-seal-generate"  # its image, security and node selection suit a pod that reads the volume
_WAIT_SECONDS = 300.0
_LIFE_SECONDS = 7200


def fetch_results(cluster: Cluster, run: str, target: Path, poll_seconds: float = 1.0) -> list[str]:
    """Copy every complete dataset of `run` that `target` doesn't have.

    Returns:
        Their folders, such as iter-01/scores.

    Raises:
        UserError: the run isn't on the volume, or `target` has another dataset in the same folder.
        TransientError: the pod did not start, or the copy was interrupted.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _reading_pod(cluster, run, poll_seconds) as pod, tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as folder:
        _copy(cluster.namespace, pod, run, Path(folder))
        return _move_datasets(Path(folder) / run, target)


@contextmanager
def _reading_pod(cluster: Cluster, run: str, poll_seconds: float) -> Iterator[str]:
    """The name of a running pod that mounts the runs' volume; it is deleted at the end."""
    pod = _pod(cluster, run)
    name = pod["metadata"]["name"]
    try:
        cluster.create_pod(pod)
    except Conflict:
        raise UserError(
            f"pod {name} exists: another client is fetching this run; if none is, delete it: kubectl delete pod {name}"
        ) from None
    try:
        deadline = time.monotonic() + _WAIT_SECONDS
        while (phase := cluster.pod_phase(name)) != "Running":
            if phase in ("Failed", None) or time.monotonic() > deadline:
                raise TransientError(f"pod {name} does not run (phase {phase}); `kubectl describe pod {name}` shows the reason")
            time.sleep(poll_seconds)
        yield name
    finally:
        cluster.delete_pod(name)


def _pod(cluster: Cluster, run: str) -> Document:
    """A pod with the image, node selection and security context of the pods that seal; the runs' volume is read-only."""
    template = cluster.template(_TEMPLATE)
    if template is None:
        raise UserError(
            f"namespace {cluster.namespace} has no WorkflowTemplate {_TEMPLATE}; an admin applies it: kubectl apply -k k8s/overlays/gpu"
        )
    seal = next(pods_of([template]))
    container = {key: seal.container[key] for key in ("image", "securityContext", "resources")}
    spec = {key: seal.spec[key] for key in ("securityContext", "nodeSelector", "tolerations")}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"lengthen-fetch-{run}", "labels": {"app.kubernetes.io/part-of": "lengthen", "lengthen.dev/stage": "results"}},
        "spec": {
            **spec,
            "automountServiceAccountToken": False,
            "serviceAccountName": "lengthen-stage",
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _LIFE_SECONDS,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    **container,
                    "command": ["sleep", str(_LIFE_SECONDS)],
                    "volumeMounts": [{"name": "runs", "mountPath": "/runs", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": "lengthen-runs", "readOnly": True}}],
        },
    }


def _copy(namespace: str, pod: str, run: str, folder: Path) -> None:
    pack = ["tar", "--create", "--directory=/runs", "--exclude=.work", run]
    command = [kubectl(), "--namespace", namespace, "exec", pod, "--", *pack]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101  # both are pipes
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                archive.extractall(folder, filter="data")  # refuses links and paths to outside the folder
            while process.stdout.read(2**16):  # the padding at the archive's end: tar fails if nobody reads it
                pass
        except tarfile.TarError as error:
            said = process.stderr.read().decode(errors="replace").strip()
            raise TransientError(f"the copy was interrupted: {said or error}; run the same command again") from error
    if not (folder / run).exists():
        raise UserError(f"the volume has no run {run}; check its name; a run that was submitted with --store s3://… is in its bucket")
    if process.returncode:
        raise TransientError(f"the copy was interrupted with exit code {process.returncode}; run the same command again")


def _move_datasets(fetched: Path, target: Path) -> list[str]:
    """Move complete datasets to `target`. One that is there already must be the same."""
    found = sorted(path.parent.relative_to(fetched) for path in fetched.glob(f"*/*/{MANIFEST}"))
    differing = [name for name in found if (target / name).exists() and _manifest(target / name) != _manifest(fetched / name)]
    if differing:
        raise UserError(f"{target / differing[0]} differs from the cluster's dataset; fetch to another folder, or remove it")
    new = [name for name in found if not (target / name).exists()]
    for name in new:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(fetched / name, target / name)
    say(f"{target}: {len(new)} datasets fetched, {len(found) - len(new)} were there already")
    return [str(name) for name in new]


def _manifest(folder: Path) -> bytes | None:
    return (folder / MANIFEST).read_bytes() if (folder / MANIFEST).is_file() else None
