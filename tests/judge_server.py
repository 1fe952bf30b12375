"""A fake OpenAI-compatible judge. A word in the judged text chooses its behaviour, such as a fault or an unreadable reply."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager
from typing import Any

from lengthen.common.tables.definitions import QUALITIES
from loopback import JsonHandler, Loopback, running

GOOD = {"analysis": "Fine.", **{name: number for number, name in enumerate(QUALITIES, start=3)}}  # 3 to 9, mean 6


def completion(content: str | None, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    reply = {"role": "assistant", "content": content, **message}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    choices = [{"index": 0, "message": reply, "finish_reason": finish_reason}]
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}


class Judge(Loopback):
    def __init__(self) -> None:
        super().__init__(_Handler)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.request_counts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.supports_schemas = True


class _Handler(JsonHandler):
    server: Judge

    def do_POST(self) -> None:
        request = self.body()
        text = request["messages"][0]["content"]
        with self.server.lock:
            self.server.requests.append(request)
            self.server.keys.append(self.headers["Authorization"])
            word = next((word for word in BEHAVIOURS if word in text), "")
            self.server.request_counts[word] += 1
            times = self.server.request_counts[word]
        if "response_format" in request and not self.server.supports_schemas:
            self.answer(400, {"error": {"message": "response_format is not supported"}})
        else:
            self.answer(*BEHAVIOURS.get(word, _good)(times), Retry_After_Ms="10")


def _good(times: int) -> tuple[int, dict[str, Any]]:
    return 200, completion(json.dumps(GOOD))


def _always(status: int, body: dict[str, Any] | str) -> Any:
    return lambda times: (status, body)


def _first(failures: int, status: int, body: dict[str, Any] | str) -> Any:
    return lambda times: (status, body) if times <= failures else _good(times)


def _slow(times: int) -> tuple[int, dict[str, Any]]:
    time.sleep(1.0)
    return _good(times)


_ERROR = {"error": {"message": "it is too busy for sk-secret-key"}}
_TABLE = "\n".join(f"**{name.title()}**: {grade}/10" for name, grade in GOOD.items() if name != "analysis")
BEHAVIOURS: dict[str, Any] = {
    "busyonce": _first(2, 429, _ERROR),
    "failsonce": _first(2, 500, _ERROR),
    "failsalways": _always(500, _ERROR),
    "busyalways": _always(429, _ERROR),
    "tooslow": _slow,
    "brokenonce": _first(1, 200, completion('{"relevance": 5, "coher')),
    "brokenalways": _always(200, completion('{"relevance": 5, "coher')),
    "fenced": _always(200, completion(f"Here you are:\n```json\n{json.dumps(GOOD)}\n```\nBest wishes")),
    "tabled": _always(200, completion(_TABLE)),
    "stringly": _always(200, completion(json.dumps({name: f"{grade}/10" for name, grade in GOOD.items() if name != "analysis"}))),
    "lacksone": _always(200, completion(json.dumps({name: grade for name, grade in GOOD.items() if name != "clarity"}))),
    "toohigh": _always(200, completion(json.dumps(GOOD | {"clarity": 11}))),
    "halfway": _always(200, completion(json.dumps(GOOD | {"clarity": 7.5}))),
    "refuses": _always(200, completion(None, refusal="I can't judge this.")),
    "filtered": _always(200, completion("", "content_filter")),
    "silent": _always(200, completion("")),
    "nochoices": _always(200, completion("") | {"choices": []}),
    "nojson": _always(200, "<html>It works!</html>"),
    "nousage": _always(200, {key: value for key, value in completion(json.dumps(GOOD)).items() if key != "usage"}),
}


def serving() -> AbstractContextManager[Judge]:
    return running(Judge())
