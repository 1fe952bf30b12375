"""The API server, through the `kubernetes` client: the requests that we send, repeated after transient failures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import urllib3
from kubernetes import client, config
from lengthen.common.process.errors import TransientError, UserError
from lengthen.common.process.progress import say
from lengthen.k8s.manifests import Document

T = TypeVar("T")
_GROUP, _VERSION = "argoproj.io", "v1alpha1"
_TRANSIENT_STATUSES = {408, 410, 425, 429, 500, 502, 503, 504}
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between two attempts, unless the server sends Retry-After
_REQUEST_SECONDS = 30.0  # read timeout


class Conflict(Exception):
    """409: an object of this name exists, or it has changed."""


class NotFound(UserError):
    """404: no such object, or no such kind of objects."""


class Cluster:
    """One namespace of a cluster. A request that meets a transient failure is repeated for at most `retry_seconds`."""

    def __init__(self, namespace: str, configuration: client.Configuration, retry_seconds: float = 600.0) -> None:
        configuration.retries = False  # urllib3 would repeat requests too, without our time limit
        api = client.ApiClient(configuration)
        self.namespace, self.retry_seconds, self.host = namespace, retry_seconds, configuration.host
        self._objects, self._core = client.CustomObjectsApi(api), client.CoreV1Api(api)

    @staticmethod
    def connect(namespace: str) -> Cluster:
        """The cluster of kubectl's current context, or the one that this process runs in.

        Raises:
            UserError: neither.
        """
        configuration = client.Configuration()
        try:
            config.load_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise UserError(f"no cluster: {' '.join(str(error).split())}; `kubectl cluster-info` must work first") from error
        return Cluster(namespace, configuration)

    def create_workflow(self, workflow: Document) -> None:
        """Raises: Conflict: a Workflow of this name exists."""
        self._request(self._objects.create_namespaced_custom_object, *self._kind("workflows"), body=workflow, field_validation="Strict")

    def workflow(self, name: str) -> Document | None:
        return self._find(self._objects.get_namespaced_custom_object, *self._kind("workflows"), name)

    def current_workflow(self, run: str) -> Document:
        """The Workflow of `run` that is pending or running, else its newest.

        Raises:
            UserError: the run has no Workflow.
        """
        listed = self._request(
            self._objects.list_namespaced_custom_object, *self._kind("workflows"), label_selector=f"lengthen.dev/run={run}"
        )
        items: list[Document] = cast(Document, listed)["items"]
        if not items:
            raise UserError(f"namespace {self.namespace} has no Workflow of run {run}; submit it first")
        newest_first = sorted(items, key=lambda item: str(item["metadata"].get("creationTimestamp", "")), reverse=True)
        active = [item for item in newest_first if item.get("status", {}).get("phase", "") in ("", "Pending", "Running")]
        return (active or newest_first)[0]

    def template(self, name: str) -> Document | None:
        return self._find(self._objects.get_namespaced_custom_object, *self._kind("workflowtemplates"), name)

    def delete_workflow(self, workflow: Document) -> None:
        """Delete exactly this Workflow, by its uid: a new one of the same name, from another client, is kept.

        Raises:
            Conflict: a new one has replaced it.
        """
        options = client.V1DeleteOptions(
            preconditions=client.V1Preconditions(uid=workflow["metadata"]["uid"]), propagation_policy="Foreground"
        )
        name = workflow["metadata"]["name"]
        self._find(self._objects.delete_namespaced_custom_object, *self._kind("workflows"), name, body=options)

    def stop_workflow(self, name: str) -> None:
        """Its pods get SIGTERM, and its exit handler still runs."""
        self._request(
            self._objects.patch_namespaced_custom_object, *self._kind("workflows"), name,
            body={"spec": {"shutdown": "Stop"}}, _content_type="application/merge-patch+json",
        )  # fmt: skip

    def create_config(self, config_map: Document) -> None:
        """Create a ConfigMap whose name holds a digest of its content; one of this name must have the same content."""
        try:
            self._request(self._core.create_namespaced_config_map, self.namespace, config_map)
        except Conflict:
            name = config_map["metadata"]["name"]
            found = self._request(self._core.read_namespaced_config_map, name, self.namespace)
            if found.data != config_map["data"]:
                raise UserError(
                    f"ConfigMap {name} was changed by hand; delete it: kubectl -n {self.namespace} delete configmap {name}"
                ) from None

    def pods(self, workflow: str) -> list[Any]:
        selector = f"workflows.argoproj.io/workflow={workflow}"
        return list(self._request(self._core.list_namespaced_pod, self.namespace, label_selector=selector).items)

    def create_pod(self, pod: Document) -> None:
        """Raises: Conflict: a pod of this name exists."""
        self._request(self._core.create_namespaced_pod, self.namespace, pod)

    def pod_phase(self, name: str) -> str | None:
        try:
            status = self._request(self._core.read_namespaced_pod, name, self.namespace).status
        except NotFound:
            return None
        return (status.phase if status else None) or "Pending"

    def delete_pod(self, name: str) -> None:
        self._find(self._core.delete_namespaced_pod, name, self.namespace, grace_period_seconds=0)

    def log(self, pod: str, lines: int) -> str:
        """The last lines of a pod's log; empty when the pod is deleted or has not started."""
        try:
            text = self._request(self._core.read_namespaced_pod_log, pod, self.namespace, container="main", tail_lines=lines)
        except UserError:
            return ""
        return str(text)

    def _kind(self, plural: str) -> tuple[str, str, str, str]:
        return _GROUP, _VERSION, self.namespace, plural

    def _find(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Document | None:
        """None for an object that does not exist."""
        try:
            return cast(Document, self._request(call, *arguments, **named))
        except NotFound:
            return None

    def _request(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Send a request; repeat it after a transient failure.

        A create request whose answer was lost may have succeeded: its repetition then raises Conflict, as if another client
        had created the object first.
        """
        began, wait = time.monotonic(), _FIRST_WAIT
        while True:
            try:
                return call(*arguments, **named, _request_timeout=_REQUEST_SECONDS)
            except client.ApiException as error:
                if error.status == 409:
                    raise Conflict from error
                if user_error := self._user_error(error):
                    raise user_error from error
                if error.status not in _TRANSIENT_STATUSES:
                    raise
                reason, retry_after = f"answers {error.status}", _retry_after(error)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                reason, retry_after = f"can't be reached ({type(error).__name__})", None
            if time.monotonic() - began + (retry_after or wait) > self.retry_seconds:
                raise TransientError(
                    f"the API server {self.host} {reason}, after retries for {self.retry_seconds:.0f} s; the run itself continues"
                )
            if wait == 16 * _FIRST_WAIT:  # say it once, and not for a short interruption
                say(f"the API server {reason}; retrying")
            time.sleep(retry_after or wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _user_error(self, error: client.ApiException) -> UserError | None:
        """The answers that the user or an admin can correct."""
        if error.status in (401, 403):
            what = "does not accept your credentials" if error.status == 401 else "denies this request"
            return UserError(
                f"the API server {self.host} {what}; ask for the role lengthen-user in namespace {self.namespace}, then "
                f"`kubectl -n {self.namespace} auth can-i create workflows.argoproj.io` says yes"
            )
        if error.status == 404:
            return NotFound(f"namespace {self.namespace} or Argo Workflows is missing in the cluster {self.host}; see k8s/README.md")
        if error.status in (400, 422):
            return UserError(f"the API server {self.host} rejects the object: {' '.join(str(error.body or error.reason).split())[:500]}")
        return None


def _retry_after(error: client.ApiException) -> float | None:
    value = (error.headers or {}).get("Retry-After", "")
    return float(value) if value.isdecimal() else None
