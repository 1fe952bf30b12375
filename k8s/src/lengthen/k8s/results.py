"""Bring a run's data from the cluster's volume to this machine: a pod that reads the volume, and tar through `kubectl exec`."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lengthen.common.errors import TransientError, UserError
from lengthen.common.progress import say
from lengthen.common.store.manifest import MANIFEST
from lengthen.k8s.cluster import Cluster, Conflict
from lengthen.k8s.manifests import Document, kubectl, pods_of

_WAIT_SECONDS = 300.0
_LIFE_SECONDS = 7200


def fetch_results(cluster: Cluster, run: str, target: Path, poll_seconds: float = 1.0) -> list[str]:
    """Copy every complete dataset of `run` that `target` hasn't got.

    Returns:
        Their folders, such as iter-01/scores.

    Raises:
        UserError: the run isn't on the volume, or `target` has another dataset in a place.
        TransientError: no pod could be had, or the copy broke off.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _reader(cluster, run, poll_seconds) as pod, tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as folder:
        _copy(cluster.namespace, pod, run, Path(folder))
        return _adopt(Path(folder) / run, target)


@contextmanager
def _reader(cluster: Cluster, run: str, poll_seconds: float) -> Iterator[str]:
    pod = _pod(cluster, run)
    name = pod["metadata"]["name"]
    try:
        cluster.create_pod(pod)
    except Conflict:
        raise UserError(f"pod {name} exists: someone fetches this run now, or delete it: kubectl delete pod {name}") from None
    try:
        deadline = time.monotonic() + _WAIT_SECONDS
        while (phase := cluster.pod_phase(name)) != "Running":
            if phase in ("Failed", None) or time.monotonic() > deadline:
                raise TransientError(f"pod {name} does not run (phase {phase}); `kubectl describe pod {name}` says why")
            time.sleep(poll_seconds)
        yield name
    finally:
        cluster.delete_pod(name)


def _pod(cluster: Cluster, run: str) -> Document:
    """Made after the template of the pods that seal: its image, its place and its rights; the runs' volume is read only."""
    template = cluster.template("lengthen-seal")
    if template is None:
        raise UserError(f"namespace {cluster.namespace} has no WorkflowTemplate lengthen-seal; an admin applies an overlay first")
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
        assert process.stdout is not None and process.stderr is not None  # noqa: S101  # as asked for above
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                archive.extractall(folder, filter="data")  # refuses links and paths that lead out
        except tarfile.TarError as error:
            said = process.stderr.read().decode(errors="replace").strip()
            raise TransientError(f"the copy broke off: {said or error}") from error
    if not (folder / run).exists():
        raise UserError(f"the volume has no run {run}")
    if process.returncode:
        raise TransientError(f"the copy broke off with exit code {process.returncode}; the same command begins again")


def _adopt(fetched: Path, target: Path) -> list[str]:
    """Move complete datasets to their places. One that is there already must be the same."""
    found = sorted(path.parent.relative_to(fetched) for path in fetched.glob(f"*/*/{MANIFEST}"))
    differing = [place for place in found if (target / place).exists() and _manifest(target / place) != _manifest(fetched / place)]
    if differing:
        raise UserError(f"{target / differing[0]} is another dataset than the cluster's; fetch to another folder, or remove it")
    new = [place for place in found if not (target / place).exists()]
    for place in new:
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(fetched / place, target / place)
    say(f"{target}: {len(new)} datasets fetched, {len(found) - len(new)} were there")
    return [str(place) for place in new]


def _manifest(folder: Path) -> bytes | None:
    return (folder / MANIFEST).read_bytes() if (folder / MANIFEST).is_file() else None
