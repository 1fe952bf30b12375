"""The API server, through the `kubernetes` client: what we ask of it, and patience while it is busy, restarting or gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import urllib3
from kubernetes import client, config
from lengthen.common.errors import TransientError, UserError
from lengthen.common.progress import say
from lengthen.k8s.manifests import Document

T = TypeVar("T")
_GROUP, _VERSION = "argoproj.io", "v1alpha1"
_LATER = {408, 410, 425, 429, 500, 502, 503, 504}
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between two tries, unless the server asks for more
_REQUEST_SECONDS = 30.0


class Conflict(Exception):
    """409: an object of this name exists, or it has changed."""


class Absent(UserError):
    """404: no such object, or no such kind of objects."""


class Cluster:
    """One namespace of a cluster. Every call is repeated until it is answered, for at most `patience` seconds."""

    def __init__(self, namespace: str, configuration: client.Configuration, patience: float = 600.0) -> None:
        configuration.retries = False  # they are ours: urllib3's would know nothing of what may be repeated
        api = client.ApiClient(configuration)
        self.namespace, self.patience, self.host = namespace, patience, configuration.host
        self._objects, self._core = client.CustomObjectsApi(api), client.CoreV1Api(api)

    @staticmethod
    def connect(namespace: str) -> Cluster:
        """The cluster that kubectl points at, or the one this process runs in.

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
        """Raises: Conflict: there is one of this name."""
        self._ask(self._objects.create_namespaced_custom_object, *self._kind("workflows"), body=workflow, field_validation="Strict")

    def workflow(self, name: str) -> Document | None:
        return self._found(self._objects.get_namespaced_custom_object, *self._kind("workflows"), name)

    def workflows(self, run: str) -> list[Document]:
        """Of a run, the newest first."""
        listed = self._ask(self._objects.list_namespaced_custom_object, *self._kind("workflows"), label_selector=f"lengthen.dev/run={run}")
        items: list[Document] = cast(Document, listed)["items"]
        return sorted(items, key=lambda item: str(item["metadata"].get("creationTimestamp", "")), reverse=True)

    def template(self, name: str) -> Document | None:
        return self._found(self._objects.get_namespaced_custom_object, *self._kind("workflowtemplates"), name)

    def delete_workflow(self, workflow: Document) -> None:
        """This very one: another client may have put a new one of its name in its place, which stays.

        Raises:
            Conflict: it is another one by now.
        """
        options = client.V1DeleteOptions(
            preconditions=client.V1Preconditions(uid=workflow["metadata"]["uid"]), propagation_policy="Foreground"
        )
        name = workflow["metadata"]["name"]
        self._found(self._objects.delete_namespaced_custom_object, *self._kind("workflows"), name, body=options)

    def stop_workflow(self, name: str) -> None:
        """Pods get SIGTERM, and the exit handler still runs."""
        self._ask(
            self._objects.patch_namespaced_custom_object, *self._kind("workflows"), name,
            body={"spec": {"shutdown": "Stop"}}, _content_type="application/merge-patch+json",
        )  # fmt: skip

    def create_config(self, config_map: Document) -> None:
        """A ConfigMap whose name has the digest of its content: one that is there is the same."""
        try:
            self._ask(self._core.create_namespaced_config_map, self.namespace, config_map)
        except Conflict:
            name = config_map["metadata"]["name"]
            found = self._ask(self._core.read_namespaced_config_map, name, self.namespace)
            if found.data != config_map["data"]:
                raise UserError(
                    f"ConfigMap {name} was changed by hand; delete it: kubectl -n {self.namespace} delete configmap {name}"
                ) from None

    def pods(self, workflow: str) -> list[Any]:
        selector = f"workflows.argoproj.io/workflow={workflow}"
        return list(self._ask(self._core.list_namespaced_pod, self.namespace, label_selector=selector).items)

    def create_pod(self, pod: Document) -> None:
        """Raises: Conflict: there is one of this name."""
        self._ask(self._core.create_namespaced_pod, self.namespace, pod)

    def pod_phase(self, name: str) -> str | None:
        try:
            status = self._ask(self._core.read_namespaced_pod, name, self.namespace).status
        except Absent:
            return None
        return (status.phase if status else None) or "Pending"

    def delete_pod(self, name: str) -> None:
        self._found(self._core.delete_namespaced_pod, name, self.namespace, grace_period_seconds=0)

    def log(self, pod: str, lines: int) -> str:
        """The end of a pod's log; nothing when the pod is gone or has not begun."""
        try:
            text = self._ask(self._core.read_namespaced_pod_log, pod, self.namespace, container="main", tail_lines=lines)
        except UserError:
            return ""
        return str(text)

    def _kind(self, plural: str) -> tuple[str, str, str, str]:
        return _GROUP, _VERSION, self.namespace, plural

    def _found(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Document | None:
        """None for what isn't there."""
        try:
            return cast(Document, self._ask(call, *arguments, **named))
        except Absent:
            return None

    def _ask(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Repeat a call while the server is busy or away.

        A creation whose answer was lost may have happened: its repetition then meets Conflict, as if another had been faster.
        """
        began, wait = time.monotonic(), _FIRST_WAIT
        while True:
            try:
                return call(*arguments, **named, _request_timeout=_REQUEST_SECONDS)
            except client.ApiException as error:
                if error.status == 409:
                    raise Conflict from error
                if refusal := self._refusal(error):
                    raise refusal from error
                if error.status not in _LATER:
                    raise
                reason, asked = f"answers {error.status}", _retry_after(error)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                reason, asked = f"can't be reached ({type(error).__name__})", None
            if time.monotonic() - began + (asked or wait) > self.patience:
                raise TransientError(
                    f"the API server {self.host} {reason}, for {self.patience:.0f} s now; the run itself goes on without us"
                )
            if wait == 16 * _FIRST_WAIT:  # once, and not for a blink
                say(f"the API server {reason}; trying on")
            time.sleep(asked or wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _refusal(self, error: client.ApiException) -> UserError | None:
        """What the user or an admin can mend."""
        if error.status in (401, 403):
            what = "doesn't know you" if error.status == 401 else "doesn't allow that"
            return UserError(
                f"the API server {self.host} {what}; ask for the role lengthen-user in namespace {self.namespace}, then "
                f"`kubectl -n {self.namespace} auth can-i create workflows.argoproj.io` says yes"
            )
        if error.status == 404:
            return Absent(f"namespace {self.namespace} or Argo Workflows is missing in the cluster {self.host}; see k8s/README.md")
        if error.status in (400, 422):
            return UserError(f"the API server {self.host} refuses it: {' '.join(str(error.body or error.reason).split())[:500]}")
        return None


def _retry_after(error: client.ApiException) -> float | None:
    value = (error.headers or {}).get("Retry-After", "")
    return float(value) if value.isdecimal() else None
