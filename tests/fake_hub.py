"""A fake dataset hub on loopback. It accepts commits as the hub's client sends them, and injects faults."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import ThreadingHTTPServer
from typing import Any

from loopback import JsonHandler


class FakeHub:
    """`files` is what is on the hub; `commits` has the paths of each commit. The other attributes inject faults."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.commits: list[list[str]] = []
        self.created: dict[str, Any] = {}
        self.tokens: set[str | None] = set()
        self.status = 200  # the HTTP status of every response
        self.breaks_after: int | None = None  # number of files of a commit that are stored before the commit fails
        self.large = False  # Parquet files go to the storage for large files (Git LFS); the commit names them by their sha256
        self.stored: dict[str, bytes] = {}
        self.storage_status = 200
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def oid(self, path: str) -> str | None:
        """The id that git gives to the file's content."""
        content = self.files.get(path)
        return None if content is None else hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Handler(JsonHandler):
    hub: FakeHub

    def do_GET(self) -> None:
        if self._is_accepted():
            stored = self.hub.files.items()
            files = [{"type": "file", "path": path, "oid": self.hub.oid(path), "size": len(content)} for path, content in stored]
            self.answer(200, files if "/tree/" in self.path else {"id": "a/b", "sha": "0" * 40, "siblings": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_accepted():
            return
        if self.path.endswith("/repos/create"):
            self.hub.created = json.loads(body)
            self.answer(200, {"url": f"{self.hub.url}/datasets/{self.hub.created['organization']}/{self.hub.created['name']}"})
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            modes = {path: "lfs" if self.hub.large and path.endswith(".parquet") else "regular" for path in paths}
            files = [{"path": p, "uploadMode": mode, "shouldIgnore": False, "oid": self.hub.oid(p)} for p, mode in modes.items()]
            self.answer(200, {"files": files})
        elif self.path.endswith("/objects/batch"):
            self.answer(200, {"transfer": "basic", "objects": [self._upload(found) for found in json.loads(body)["objects"]]})
        elif self.path.endswith("/validate-yaml"):  # of the dataset card
            self.answer(200, {"errors": [], "warnings": []})
        else:
            self._commit([json.loads(line) for line in body.splitlines()])

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.hub.storage_status == 200:
            self.hub.stored[self.path.rpartition("/")[2]] = content
        self.answer(self.hub.storage_status, {})

    def _upload(self, found: dict[str, Any]) -> dict[str, Any]:
        """The upload URL of a large file; none if the file is stored already."""
        actions = {"actions": {"upload": {"href": f"{self.hub.url}/storage/{found['oid']}"}}}
        return {"oid": found["oid"], "size": found["size"]} | ({} if found["oid"] in self.hub.stored else actions)

    def _commit(self, operations: list[dict[str, Any]]) -> None:
        files = [operation["value"] for operation in operations if operation["key"] == "file"]
        taken = files if self.hub.breaks_after is None else files[: self.hub.breaks_after]
        self.hub.files |= {file["path"]: base64.b64decode(file["content"]) for file in taken}
        self.hub.commits.append([file["path"] for file in files])
        if len(taken) < len(files):
            self.answer(400, {"error": "interrupted"})
            return
        for operation in operations:
            if operation["key"] == "deletedFile":
                del self.hub.files[operation["value"]["path"]]
            elif operation["key"] == "lfsFile":
                self.hub.files[operation["value"]["path"]] = self.hub.stored[operation["value"]["oid"]]
        self.answer(200, {"commitUrl": f"{self.hub.url}/datasets/a/b/commit/1", "commitOid": "1" * 40, "hookOutput": ""})

    def _is_accepted(self) -> bool:
        self.hub.tokens.add(self.headers["Authorization"])
        if self.hub.status != 200:
            self.answer(self.hub.status, {"error": "no"})
        return self.hub.status == 200
