"""A fake server of OpenAI's completions API that streams. It injects faults: one behaviour for each request, in order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from loopback import JsonHandler, Loopback, running

PIECES = ["The river ", "was quiet.", "\n\n", "Every stone ", "holds light."]
TEXT = "".join(PIECES)
KEY = "sk-secret-key"


class Completions(Loopback):
    def __init__(self) -> None:
        super().__init__(_Handler)
        self.requests: list[dict[str, Any]] = []
        self.behaviours: list[Callable[[_Handler], None]] = []  # for the next requests; later requests succeed
        self.loaded: list[dict[str, str]] = []
        self.loads_adapters = True
        self.pieces_sent = 0


class _Handler(JsonHandler):
    server: Completions

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {KEY}":
            return self.answer(401, {"error": {"message": f"wrong key {self.headers['Authorization']}"}})
        return self.answer(200, {"object": "list", "data": [{"id": "tiny"}, *({"id": one["lora_name"]} for one in self.server.loaded)]})

    def do_POST(self) -> None:
        body = self.body()
        if self.path.endswith("/load_lora_adapter"):
            if not self.server.loads_adapters:
                return self.answer(404, {"error": {"message": "no such route"}})
            self.server.loaded.append(body)
            return self.answer(200, {})
        self.server.requests.append(body)
        return (self.server.behaviours.pop(0) if self.server.behaviours else write_all)(self)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def event(self, text: str, finish_reason: str | None = None, usage: dict[str, int] | None = None) -> None:
        choices = [] if usage else [{"index": 0, "text": text, "finish_reason": finish_reason}]
        chunk = {"id": "1", "object": "text_completion", "created": 1, "model": "tiny", "choices": choices, "usage": usage}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.server.pieces_sent += 1


def write_all(handler: _Handler) -> None:
    handler.begin()
    for piece in PIECES:
        handler.event(piece)
    handler.event("", "stop")
    handler.event("", usage={"prompt_tokens": 5, "completion_tokens": 17, "total_tokens": 22})
    handler.wfile.write(b"data: [DONE]\n\n")


def fail(status: int) -> Callable[[_Handler], None]:
    return lambda handler: handler.answer(status, {"error": {"message": f"too busy for {KEY}"}}, Retry_After_Ms="10")


def close_early(handler: _Handler) -> None:
    """Half of the text; then the connection is closed without an error."""
    handler.begin()
    for piece in PIECES[:2]:
        handler.event(piece)


def truncate(handler: _Handler) -> None:
    """Half of the text; then the connection is closed before the announced Content-Length is reached."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for piece in PIECES[:2]:
        handler.event(piece)


def never_end(handler: _Handler) -> None:
    """Text until the client disconnects, for ten seconds at most."""
    handler.begin()
    for _ in range(1000):
        handler.event("again and again ")
        time.sleep(0.01)


def serving() -> AbstractContextManager[Completions]:
    return running(Completions())
