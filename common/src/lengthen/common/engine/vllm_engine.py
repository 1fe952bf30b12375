"""vLLM as the engine: `LLMEngine`, driven by one thread of ours under an asynchronous face.

All requests of a stage share one engine, so rows at different steps are decoded together (continuous batching), the
shared beginnings of prompts are computed once, and the base model and its adapters live side by side.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import queue
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lengthen.common.chat import Chat
from lengthen.common.config import Config
from lengthen.common.engine.protocol import Adapter, Completion, Prompt, PromptTooLong, SamplingParameters, WatchFunction
from lengthen.common.errors import TransientError, UserError
from lengthen.common.merging import merge

# In this process: nothing is left behind when the stage is killed. All cores compute: no front end needs one of its own.
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", f"0-{(os.cpu_count() or 1) - 1}")
# Its warnings are about choices that are made here on purpose; set the variable to see them.
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")


@dataclass
class _Request:
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    finish: Callable[[_Request, Any, str], Any]  # (request, last output, finish reason) -> the future's result
    watch: WatchFunction | None = None
    pieces: list[str] = field(default_factory=list)
    tokens: int = 0


class VllmEngine:
    """See `protocol.Engine`. One for a process: vLLM doesn't give all of its memory back."""

    def __init__(self, config: Config, adapters: list[Adapter], with_base: bool = False) -> None:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(config.engine.cpu_cache_gib))
        logging.getLogger("torch._library.triton").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")  # its own use of torch
        from vllm import EngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.llm_engine import LLMEngine

        self.chat = Chat(config.model.path)
        self.control_tokens = self.chat.control_tokens
        self.context_tokens = config.model.context_tokens
        lora: dict[str, Any] = {}
        # On a CPU a single adapter is merged into the weights first: vLLM's LoRA kernels make a small model 2.5 times slower
        # there (49 against 126 tokens/s), and merging takes seconds.
        self._merged = len(adapters) == 1 and not with_base and current_platform.is_cpu()
        if adapters and not self._merged:
            lora = {"enable_lora": True, "max_loras": len(adapters), "max_lora_rank": _rank(config.finetune.lora.rank)}
        arguments = EngineArgs(
            model=str(config.model.path),
            trust_remote_code=False,
            load_format="safetensors",
            use_tqdm_on_load=False,
            dtype=config.model.dtype,
            max_model_len=config.model.context_tokens,
            max_num_seqs=config.engine.sequences,
            enforce_eager=config.engine.eager,
            gpu_memory_utilization=config.engine.gpu_memory_share,
            tensor_parallel_size=config.engine.tensor_parallel,
            distributed_executor_backend="uni" if config.engine.tensor_parallel == 1 else None,
            enable_prefix_caching=True,
            # White space between the parts of a document is not the model's to choose: a poor one would never end it.
            structured_outputs_config={"backend": "guidance", "disable_any_whitespace": True},
            **_whole_prefills(config.model.context_tokens),
            **lora,
        )
        try:
            with TemporaryDirectory(prefix="lengthen-merged-") as folder:
                if self._merged:
                    arguments.model = f"{folder}/model"
                    merge(config.model.path, adapters[0].path, Path(arguments.model), config.model.dtype)
                self._engine = LLMEngine.from_engine_args(arguments)
        except ValueError as error:
            raise UserError(f"vLLM refuses {config.model.path}: {' '.join(str(error).split())[:400]}") from error
        # A name and an id of its own for each adapter: vLLM may serve cached blocks of an adapter of the same name.
        self._lora_ids = {adapter.sha256: number for number, adapter in enumerate(adapters, start=1)}
        self._names = itertools.count()
        self._requests: dict[str, _Request] = {}
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._drive, name="vllm", daemon=True)
        self._thread.start()

    async def complete(
        self, prompt: Prompt, sampling: SamplingParameters, *, adapter: Adapter | None = None, watch: WatchFunction | None = None
    ) -> Completion:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        ids = self.chat.encode(prompt)
        room = self.context_tokens - len(ids)
        if room < 1:
            raise PromptTooLong(f"{len(ids)} tokens of prompt in a context of {self.context_tokens}")
        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            repetition_penalty=sampling.repetition_penalty,
            max_tokens=min(sampling.max_tokens, room),
            seed=sampling.seed,
            output_kind=RequestOutputKind.DELTA,
            structured_outputs=_structured(sampling.json_schema),
        )
        result: Completion = await self._submit(ids, parameters, adapter, _completion, watch)
        return result

    async def score(self, prompt: Prompt, continuations: list[str], *, adapter: Adapter | None = None) -> list[float]:
        from vllm import SamplingParams

        before = self.chat.encode(prompt)
        after = [self.chat.ids(text) for text in continuations]
        longest = len(before) + max(map(len, after))
        if longest >= self.context_tokens:
            raise PromptTooLong(f"{longest} tokens in a context of {self.context_tokens}")
        if all(len(ids) == 1 for ids in after):
            choices = [ids[0] for ids in after]
            parameters = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=choices)
            return list(await self._submit(before, parameters, adapter, _choice_log_probabilities(choices)))
        if self._lora_ids and not self._merged:
            return list(await asyncio.gather(*(self._score_by_token(before, ids, adapter) for ids in after)))
        parameters = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        jobs = [self._submit(before + ids, parameters, adapter, _log_probability(len(before), ids)) for ids in after]
        return list(await asyncio.gather(*jobs))

    async def _score_by_token(self, before: list[int], ids: list[int], adapter: Adapter | None) -> float:
        """A request a token, each with the one before in the cache: with LoRA, vLLM 0.32 can't compute the log-probabilities of
        a prompt (its LoRA kernel takes the number of requests for the number of tokens, and the engine dies)."""
        from vllm import SamplingParams

        jobs = []
        for place, token in enumerate(ids):
            parameters = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=[token])
            jobs.append(self._submit(before + ids[:place], parameters, adapter, _choice_log_probabilities([token])))
        return float(sum([first for [first] in await asyncio.gather(*jobs)]))

    def count_tokens(self, prompt: Prompt) -> int:
        return len(self.chat.encode(prompt))

    def close(self) -> None:
        self._inbox.put(None)
        self._thread.join(timeout=30)

    async def _submit(
        self,
        ids: list[int],
        parameters: Any,
        adapter: Adapter | None,
        finish: Callable[[_Request, Any, str], Any],
        watch: WatchFunction | None = None,
    ) -> Any:
        loop = asyncio.get_running_loop()
        request = _Request(loop.create_future(), loop, finish, watch)
        name = str(next(self._names))

        def add() -> None:
            self._requests[name] = request
            self._engine.add_request(name, {"prompt_token_ids": ids}, parameters, lora_request=self._lora(adapter))

        def drop() -> None:
            if self._requests.pop(name, None):
                self._engine.abort_request([name])

        if not self._thread.is_alive():
            raise TransientError("the vLLM engine has stopped")
        self._inbox.put(add)
        try:
            return await request.future
        except asyncio.CancelledError:
            self._inbox.put(drop)
            raise

    def _lora(self, adapter: Adapter | None) -> Any:
        if self._merged and adapter is None:
            raise RuntimeError("this engine serves the model merged with its one adapter; the base model isn't in it")
        if adapter is None or self._merged:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest(adapter.sha256, self._lora_ids[adapter.sha256], str(adapter.path))

    def _drive(self) -> None:
        """The engine's thread: take what was asked, step, hand out what came. Only this thread touches the engine."""
        try:
            while self._serve_inbox():
                for output in self._engine.step():
                    self._hand_out(output)
        except BaseException as error:
            failure = TransientError(f"the vLLM engine failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            for request in self._requests.values():
                _resolve(request, failure)
            raise

    def _serve_inbox(self) -> bool:
        """Run what is waiting; wait for something while the engine is idle. False when told to end."""
        while True:
            try:
                job = self._inbox.get(block=not self._engine.has_unfinished_requests())
            except queue.Empty:
                return True
            if job is None:
                return False
            job()

    def _hand_out(self, output: Any) -> None:
        request = self._requests.get(output.request_id)
        if request is None:
            return
        piece = output.outputs[0]
        request.pieces.append(piece.text)
        request.tokens += len(piece.token_ids)
        reason = request.watch(piece.text) if request.watch and piece.text else None
        if reason or output.finished:
            del self._requests[output.request_id]
            if not output.finished:
                self._engine.abort_request([output.request_id])
            _resolve(request, request.finish(request, output, reason or str(piece.finish_reason)))


def _whole_prefills(context_tokens: int) -> dict[str, Any]:
    """On a CPU, never compute a part of a prompt: vLLM 0.32 would rewind the request's seeded generator after it, which
    a CPU generator can't do ("CPU Generator does not use offset")."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return {}
    return {"enable_chunked_prefill": False, "max_num_batched_tokens": max(context_tokens, 8192)}


def _structured(json_schema: str | None) -> Any:
    from vllm.sampling_params import StructuredOutputsParams

    return StructuredOutputsParams(json=json_schema) if json_schema else None


def _completion(request: _Request, output: Any, finish_reason: str) -> Completion:
    return Completion("".join(request.pieces), request.tokens, finish_reason)


def _choice_log_probabilities(choices: list[int]) -> Callable[[_Request, Any, str], list[float]]:
    def finish(request: _Request, output: Any, finish_reason: str) -> list[float]:
        first = output.outputs[0].logprobs[0]
        return [float(first[token].logprob) for token in choices]

    return finish


def _log_probability(start: int, ids: list[int]) -> Callable[[_Request, Any, str], float]:
    def finish(request: _Request, output: Any, finish_reason: str) -> float:
        return float(sum(output.prompt_logprobs[start + i][token].logprob for i, token in enumerate(ids)))

    return finish


def _resolve(request: _Request, result: Any) -> None:
    def set_result() -> None:
        if request.future.done():
            return
        if isinstance(result, BaseException):
            request.future.set_exception(result)
        else:
            request.future.set_result(result)

    request.loop.call_soon_threadsafe(set_result)


def _rank(rank: int) -> int:
    """The smallest maximum rank that vLLM offers for an adapter of this rank."""
    for offered in (8, 16, 32, 64, 128, 256, 320, 512):
        if rank <= offered:
            return offered
    raise UserError(f"finetune.lora.rank: {rank} is more than vLLM can serve (512)")
