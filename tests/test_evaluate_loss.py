"""The loss of the part `forgetting`, compared with an independent computation."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import tiny


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """An adapter with zero weights: it does not change the model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapters") / "adapter"
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), LoraConfig(r=8, target_modules="all-linear")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def expected(model: Path) -> list[float]:
    """Two answers' log-probabilities, as transformers computes them."""
    import torch
    from lengthen.common.engine.chat import Chat
    from lengthen.common.engine.protocol import Prompt
    from transformers import AutoModelForCausalLM

    plain, chat, found = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), Chat(model), []
    for answer in ["The bread is near the window.", "Every garden."]:
        before, ids = chat.encode(Prompt("Where is the bread?")), chat.ids(answer)
        with torch.no_grad():
            logits = plain(torch.tensor([before + ids])).logits[0, len(before) - 1 : -1]
        found.append(float(logits.log_softmax(-1)[range(len(ids)), ids].sum()))
    return found


def ask(engine: str, config: Path, adapter: Path) -> dict[str, Any]:
    program = Path(__file__).parent / "score_with_adapter.py"
    command = [sys.executable, str(program), engine, str(config), str(adapter)]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert completed.returncode == 0, completed.stderr[-3000:]
    return dict(json.loads(completed.stdout.strip().splitlines()[-1]))


@pytest.mark.engine
@pytest.mark.ci
def test_the_loss_of_given_answers_agrees_with_transformers_in_process_and_with_a_server(
    tmp_path: Path, model: Path, adapter: Path, expected: list[float]
) -> None:
    """With both an adapter and the base model (self-judge) vLLM cannot score a whole prompt at once. The loss with a zero adapter
    equals the base model's loss and the loss that transformers computes. A vLLM server gives the same values."""
    inside = ask("vllm", tiny.write_config(tmp_path / "inside.yaml", model), adapter)
    with vllm_server(model, tmp_path / "server.log") as url:
        endpoint = {"url": url, "model": "tiny"}
        outside = ask("openai", tiny.write_config(tmp_path / "outside.yaml", model, engine={"endpoint": endpoint}), adapter)
    for found in (inside, outside):
        assert found["base"] == pytest.approx(expected, rel=0.02)
        assert found["tuned"] == pytest.approx(found["base"], rel=0.01)
        assert len(found["grades"]) == 7
    assert inside["continued"] == outside["continued"] != ""
    assert inside["tokens"] == outside["tokens"]


@contextmanager
def vllm_server(model: Path, log: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--served-model-name", "tiny",
        "--host", "127.0.0.1", "--port", str(port), "--enable-lora", "--max-lora-rank", "8", "--enforce-eager",
        "--structured-outputs-config", '{"backend": "guidance", "disable_any_whitespace": true}',
    ]  # fmt: skip
    environment = os.environ | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("w") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        until = time.monotonic() + 240
        while not answers(port):
            assert server.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").is_success
    except httpx.HTTPError:
        return False
