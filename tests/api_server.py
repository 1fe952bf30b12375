"""A fake Kubernetes API server over HTTP. It stores objects, Argo's among them, and injects faults: overload, errors, a restart."""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Document = dict[str, Any]


class ApiServer:
    """Objects by (plural, name). Each entry of `faults` applies to one of the next requests: a status, `reset` or `lost`.

    `reset` closes the connection before the request is executed, `lost` after it.
    """

    def __init__(self, namespace: str = "lengthen") -> None:
        self.namespace = namespace
        self.objects: dict[tuple[str, str], Document] = {}
        self.logs: dict[str, str] = {}
        self.faults: list[int | str | tuple[int, str]] = []
        self.requests: list[tuple[str, str]] = []
        self.created: Counter[str] = Counter()  # Workflows, by name
        self.deleting = 0  # number of further GETs that still find a deleted Workflow
        self.after: list[Any] = []  # called one by one, after each GET of a Workflow
        self.lock = threading.RLock()
        self.port = 0
        self._uids = 0
        self.start()

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"api": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def restart(self, seconds: float) -> None:
        """Not available for some seconds, then back with all objects, as after an upgrade of the control plane."""
        self.stop()
        threading.Timer(seconds, self.start).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kubeconfig(self, token: str = "a-token") -> str:  # noqa: S107
        cluster = {"name": "c", "cluster": {"server": self.url}}
        user = {"name": "u", "user": {"token": token}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u", "namespace": self.namespace}}
        return json.dumps(
            {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "users": [user], "contexts": [context], "current-context": "x"}
        )

    def add(self, plural: str, document: Document) -> Document:
        with self.lock:
            self._uids += 1
            document = {**document, "metadata": {**document["metadata"], "uid": f"uid-{self._uids}"}}
            document["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{self._uids % 60:02d}Z"
            self.objects[plural, document["metadata"]["name"]] = document
            return document

    def set_status(self, name: str, phase: str, nodes: list[Document] | None = None, *, compressed: bool = False, **more: Any) -> None:
        with self.lock:
            stored: Document = {"nodes": {node["id"]: node for node in nodes}} if nodes is not None else {}
            if compressed and nodes is not None:
                stored = {"compressedNodes": base64.b64encode(gzip.compress(json.dumps(stored["nodes"]).encode())).decode()}
            self.objects["workflows", name]["status"] = {"phase": phase, **stored, **more}


class _Handler(BaseHTTPRequestHandler):
    api: ApiServer
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one packet for each response: a second packet would wait until the first is acknowledged

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"null") if length else None
        split = urlsplit(self.path)
        with self.api.lock:
            self.api.requests.append((self.command, split.path))
            fault = self.api.faults.pop(0) if self.api.faults else None
        if fault == "reset":
            self._close()
            return
        if isinstance(fault, int | tuple):
            status, after = fault if isinstance(fault, tuple) else (fault, "")
            self._answer(status, _failure(status), {"Retry-After": after} if after else {})
            return
        with self.api.lock:
            status, answer = self._do(split.path, {key: value[0] for key, value in parse_qs(split.query).items()}, body)
        if fault == "lost":
            self._close()
            return
        self._answer(status, answer)

    def _do(self, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        match = re.fullmatch(r"/(?:api/v1|apis/argoproj\.io/v1alpha1)/namespaces/([^/]+)/([^/]+)(?:/([^/]+))?(/log)?", path)
        if not match or match[1] != self.api.namespace:
            return 404, _failure(404)
        plural, name = match[2], match[3]
        if match[4]:
            return (200, self.api.logs[name]) if name in self.api.logs else (404, _failure(404))
        if self.command == "POST":
            return self._create(plural, body)
        if name is None:
            return 200, self._list(plural, query.get("labelSelector", ""))
        found = self.api.objects.get((plural, name))
        if found is None:
            return 404, _failure(404)
        if self.command == "DELETE":
            return self._delete(plural, name, found, body)
        if self.command == "PATCH":
            assert self.headers["Content-Type"] == "application/merge-patch+json"  # CRDs don't support strategic merge patches
            found["spec"].update(body["spec"])
            return 200, found
        answer = json.loads(json.dumps(found))
        if plural == "workflows":
            if found["metadata"].get("deletionTimestamp"):
                self.api.deleting -= 1
                if self.api.deleting < 0:
                    del self.api.objects[plural, name]
                    return 404, _failure(404)
            elif self.api.after:
                self.api.after.pop(0)()
        return 200, answer

    def _create(self, plural: str, body: Document) -> tuple[int, Document]:
        name = body["metadata"]["name"]
        if (plural, name) in self.api.objects:
            return 409, _failure(409)
        if plural == "workflows":
            self.api.created[name] += 1
        return 201, self.api.add(plural, body)

    def _delete(self, plural: str, name: str, found: Document, body: Any) -> tuple[int, Document]:
        wanted = ((body or {}).get("preconditions") or {}).get("uid")
        if wanted and wanted != found["metadata"]["uid"]:
            return 409, _failure(409)
        if self.api.deleting:
            found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        else:
            del self.api.objects[plural, name]
        return 200, found if plural == "pods" else {"kind": "Status", "status": "Success"}

    def _list(self, plural: str, selector: str) -> Document:
        key, _, value = selector.partition("=")
        items = [d for (kind, _), d in self.api.objects.items() if kind == plural and d["metadata"].get("labels", {}).get(key) == value]
        return {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}

    def _answer(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        text = isinstance(answer, str)
        content = answer.encode() if text else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if text else "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _close(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # RST, not FIN
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _failure(status: int) -> Document:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "injected by the test"}


def node(number: int, stage: str, phase: str, kind: str = "Pod", **more: Any) -> Document:
    """A node of a Workflow. `shard`, `iteration` and `role` become its inputs, `code` its output."""
    inputs = [{"name": key, "value": str(more.pop(key))} for key in ("iteration", "shard", "role") if key in more]
    outputs = {"outputs": {"exitCode": str(more.pop("code"))}} if "code" in more else {}
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + number))
    return {
        "id": f"n{number}", "name": f"w.{stage}({number})", "displayName": f"{stage}({number})", "type": kind, "phase": phase,
        "templateName": "shard", "templateScope": f"namespaced/lengthen-{stage}", "startedAt": began,
        "inputs": {"parameters": inputs}, **outputs, **more,
    }  # fmt: skip


def pod(name: str, workflow: str, node_id: str, **status: Any) -> Document:
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": {"workflows.argoproj.io/workflow": workflow}, "annotations": {"workflows.argoproj.io/node-id": node_id},
        },
        "spec": {"containers": [{"name": "main", "image": "lengthen/expand:1"}]}, "status": status,
    }  # fmt: skip
