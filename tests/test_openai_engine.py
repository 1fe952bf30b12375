"""An OpenAI-compatible server as the engine, here a fake one. A faulty server causes retries or one clear error line, never a wrong
text. A real vLLM server is tested in test_evaluate_loss.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import completion_server
import pytest
import tiny
from completion_server import KEY, TEXT, Completions
from conftest import instruction_row, refused, rows, succeed, write
from lengthen.common.config.load import Config, load_config
from lengthen.common.engine.chat import Chat
from lengthen.common.engine.opening import open_engine
from lengthen.common.engine.protocol import Completion, Engine, Prompt, PromptTooLong, SamplingParameters, WatchFunction
from lengthen.common.model.adapter import Adapter
from lengthen.common.process.errors import TransientError, UserError
from lengthen.common.tables.definitions import INSTRUCTIONS

PROMPT = Prompt("Where is the bread?", "It is near")
SAMPLING = SamplingParameters(0.7, 0.8, 20, 1.1, 100, 7)
ADAPTER = Adapter(Path("/runs/one/generator/.adapter"), "ab" * 32)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Completions]:
    monkeypatch.setenv("SERVER_KEY", KEY)
    with completion_server.serving() as server:
        yield server


def config_of(tmp_path: Path, model: Path, server: Completions, name: str = "tiny") -> Path:
    settings = {"url": server.url, "model": name, "api_key_variable": "SERVER_KEY", "max_retries": 2}
    return tiny.write_config(tmp_path / "config.yaml", model, engine={"endpoint": settings})


Ask = Callable[[Engine], Awaitable[Any]]


def with_engine(config: Config, adapters: list[Adapter], ask: Ask) -> Any:
    async def run() -> Any:
        async with open_engine("openai", config, adapters) as engine:
            return await ask(engine)

    return asyncio.run(run())


@pytest.fixture
def config(tmp_path: Path, model: Path, server: Completions) -> Config:
    return load_config(config_of(tmp_path, model, server))


def complete(config: Config, adapter: Adapter | None = None, watch: WatchFunction | None = None) -> Completion:
    found: Completion = with_engine(
        config, [adapter] if adapter else [], lambda engine: engine.complete(PROMPT, SAMPLING, adapter=adapter, watch=watch)
    )
    return found


def test_the_server_gets_the_same_tokens_as_training(config: Config, server: Completions, model: Path) -> None:
    assert complete(config) == Completion(TEXT, 17, "stop")
    [request] = server.requests
    assert request["prompt"] == Chat(model).encode(PROMPT)
    assert request["model"] == "tiny" and request["seed"] == 7 and request["top_k"] == 20 and request["repetition_penalty"] == 1.1


@pytest.mark.parametrize("faults", [[429, 500], [503], ["close_early"], ["truncate"], ["truncate", 500, "close_early"]])
def test_a_transient_failure_is_retried_and_the_text_is_complete(config: Config, server: Completions, faults: list[int | str]) -> None:
    server.behaviours = [getattr(completion_server, one) if isinstance(one, str) else completion_server.fail(one) for one in faults]
    seen: list[str] = []

    class Watch:
        def __init__(self) -> None:
            self.text = ""

        def __call__(self, piece: str) -> None:
            self.text += piece
            seen.append(self.text)

    assert complete(config, watch=Watch()).text == TEXT
    assert seen[-1] == TEXT, "the watch starts again with each attempt"


def test_repeated_failures_raise_a_transient_error_without_the_key(config: Config, server: Completions) -> None:
    server.behaviours = [completion_server.fail(500)] * 9
    with pytest.raises(TransientError, match="too busy for") as failure:
        complete(config)
    assert KEY not in str(failure.value)
    server.behaviours = [completion_server.truncate] * 9
    with pytest.raises(TransientError, match="broke off 3 times"):
        complete(config)


def test_a_request_stopped_by_the_watch_also_stops_the_server(config: Config, server: Completions) -> None:
    server.behaviours = [completion_server.never_end]
    pieces: list[str] = []
    completion = complete(config, watch=lambda piece: pieces.append(piece) or ("loop" if len(pieces) == 3 else None))
    assert completion.finish_reason == "loop" and completion.text == "again and again " * 3 and completion.tokens > 0
    time.sleep(1)
    sent = server.pieces_sent
    time.sleep(0.3)
    assert server.pieces_sent == sent < 1000


def test_an_adapter_is_loaded_once_with_its_digest_as_its_name(tmp_path: Path, model: Path, server: Completions) -> None:
    config = load_config(config_of(tmp_path, model, server))
    for _ in range(2):
        complete(config, ADAPTER)
    assert server.loaded == [{"lora_name": "lengthen-abababababababab", "lora_path": str(ADAPTER.path)}]
    assert [request["model"] for request in server.requests] == ["lengthen-abababababababab"] * 2


def test_the_error_names_a_missing_model_adapter_or_log_probability(
    tmp_path: Path, model: Path, server: Completions, config: Config
) -> None:
    server.loads_adapters = False
    with pytest.raises(UserError, match="serve it under this name"):
        complete(config, ADAPTER)
    with pytest.raises(UserError, match="serves tiny, not other"):
        complete(load_config(config_of(tmp_path, model, server, name="other")))
    server.behaviours = [lambda handler: handler.answer(200, {"choices": [{"index": 0, "text": "a", "logprobs": None}]})]
    with pytest.raises(UserError, match="log-probabilities"):
        with_engine(config, [], lambda engine: engine.score(PROMPT, ["yes"]))
    with pytest.raises(PromptTooLong):
        with_engine(config, [], lambda engine: engine.complete(Prompt("word " * 5000), SAMPLING))


def test_a_stage_runs_with_a_server_and_names_a_missing_setting(
    tmp_path: Path, model: Path, server: Completions, monkeypatch: pytest.MonkeyPatch
) -> None:
    instructions = write(tmp_path / "in", INSTRUCTIONS, [instruction_row(n, f"Write about subject {n}.") for n in range(3)])
    config = config_of(tmp_path, model, server)
    command = ["--input", instructions, "--engine", "openai", "--set", "check.min_words=5"]
    succeed("generate", "--config", config, *command, "--output", tmp_path / "out")
    assert {row["response"] for row in rows(tmp_path / "out", "responses")} == {TEXT}

    elsewhere = tmp_path / "other"
    plain = tiny.write_config(tmp_path / "plain.yaml", model)
    assert "engine.endpoint is missing" in refused("generate", "--config", plain, *command, "--output", elsewhere)
    monkeypatch.setenv("SERVER_KEY", "wrong-key")
    line = refused("generate", "--config", config, *command, "--output", elsewhere)
    assert "401" in line and "wrong-key" not in line
    monkeypatch.delenv("SERVER_KEY")
    assert "SERVER_KEY is not set" in refused("generate", "--config", config, *command, "--output", elsewhere)
