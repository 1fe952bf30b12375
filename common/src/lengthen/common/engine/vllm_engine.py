"""vLLM as the engine: an `LLMEngine` in a thread, behind an async API.

All requests of a stage share one engine. So rows at different steps are decoded together (continuous batching), common prefixes
of prompts are computed once, and the base model and its adapters are served by the same engine.
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

from lengthen.common.config.load import Config
from lengthen.common.engine.chat import Chat
from lengthen.common.engine.protocol import Completion, Prompt, PromptTooLong, SamplingParameters, WatchFunction
from lengthen.common.engine.vllm_arguments import engine_arguments
from lengthen.common.model.adapter import Adapter
from lengthen.common.model.merging import merge
from lengthen.common.process.errors import TransientError, UserError

# Run vLLM in this process, so that no process remains when the stage is killed.
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
# vLLM warns about settings that are chosen here on purpose; set the variable to see the warnings.
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
    """See `protocol.Engine`. At most one for each process, because vLLM does not release all of its memory."""

    def __init__(self, config: Config, adapters: list[Adapter], with_base: bool = False) -> None:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(config.engine.cpu_kvcache_space_gib))
        logging.getLogger("torch._library.triton").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")  # its own use of torch
        from vllm import EngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.llm_engine import LLMEngine

        self.chat = Chat(config.model.path)
        self.control_tokens = self.chat.control_tokens
        self.context_tokens = config.model.max_model_len
        # On a CPU a single adapter is merged into the weights first: vLLM's LoRA kernels make a small model 2.5 times slower
        # there (49 instead of 126 tokens/s), and merging takes seconds.
        self._on_cpu = current_platform.is_cpu()
        self._merged = len(adapters) == 1 and not with_base and self._on_cpu
        arguments = EngineArgs(**engine_arguments(config, [] if self._merged else adapters, self._on_cpu))

        def build() -> Any:
            try:
                with TemporaryDirectory(prefix="lengthen-merged-") as folder:
                    if self._merged:
                        arguments.model = f"{folder}/model"
                        merge(config.model.path, adapters[0].path, Path(arguments.model), config.model.dtype)
                    return LLMEngine.from_engine_args(arguments)
            except ValueError as error:
                raise UserError(f"vLLM can't load {config.model.path}: {' '.join(str(error).split())[:400]}") from error

        # Each adapter has its own name and id: vLLM may serve cached blocks of another adapter with the same name.
        self._lora_ids = {adapter.sha256: number for number, adapter in enumerate(adapters, start=1)}
        self._names = itertools.count()
        self._requests: dict[str, _Request] = {}
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._engine: Any = None
        self._start(build)

    def _start(self, build: Callable[[], Any]) -> None:
        """Build the engine and start its thread.

        On a CPU the engine is built in its thread, so that no other thread computes: OpenMP has a pool of threads for each thread
        that does. With two pools there are more threads than cores, and then they sleep after each operation instead of spinning
        a little: 700 instead of 1,100 tokens/s on two cores.
        """
        self._engine = None if self._on_cpu else build()
        ready, refused = threading.Event(), list[UserError]()

        def run() -> None:
            try:
                self._engine = self._engine or build()
            except UserError as error:
                refused.append(error)
                return
            finally:
                ready.set()
            self._run_engine()

        self._thread = threading.Thread(target=run, name="vllm", daemon=True)
        self._thread.start()
        try:
            ready.wait()
        except BaseException:  # a signal: the interpreter must not end while the thread computes
            self._jobs.put(None)
            self._thread.join()
            raise
        if self._engine is None:
            raise refused[0] if refused else RuntimeError("vLLM did not start; the error is above")

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
            max_tokens=min(sampling.max_tokens, room),
            seed=sampling.seed,
            output_kind=RequestOutputKind.DELTA,
            structured_outputs=_structured(sampling.json_schema),
            **self._limits(sampling),
        )
        result: Completion = await self._submit(ids, parameters, adapter, _completion, watch)
        return result

    def _limits(self, sampling: SamplingParameters) -> dict[str, Any]:
        """Repetition penalty, top-k and top-p: by our logits processors on a CPU, by vLLM's own kernels otherwise."""
        if self._on_cpu and sampling.json_schema is None:
            from lengthen.common.engine.cpu_sampling import cpu_parameters

            return cpu_parameters(sampling)
        return {"top_p": sampling.top_p, "top_k": sampling.top_k, "repetition_penalty": sampling.repetition_penalty}

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
        """One request for each token, with the tokens before it in the cache: with LoRA, vLLM 0.32 can't compute the
        log-probabilities of a prompt (its LoRA kernel confuses the number of requests with the number of tokens, and crashes)."""
        from vllm import SamplingParams

        jobs = []
        for n, token in enumerate(ids):
            parameters = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=[token])
            jobs.append(self._submit(before + ids[:n], parameters, adapter, _choice_log_probabilities([token])))
        return float(sum([first for [first] in await asyncio.gather(*jobs)]))

    def count_tokens(self, prompt: Prompt) -> int:
        return len(self.chat.encode(prompt))

    async def close(self) -> None:
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, 30)

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
            raise TransientError("the vLLM engine has stopped; run the same command again")
        self._jobs.put(add)
        try:
            return await request.future
        except asyncio.CancelledError:
            self._jobs.put(drop)
            raise

    def _lora(self, adapter: Adapter | None) -> Any:
        if self._merged and adapter is None:
            raise RuntimeError("this engine serves the model merged with its adapter, not the base model")
        if adapter is None or self._merged:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest(adapter.sha256, self._lora_ids[adapter.sha256], str(adapter.path))

    def _run_engine(self) -> None:
        """The engine's thread: run waiting jobs, step the engine, dispatch its outputs. Only this thread uses the engine."""
        try:
            while self._run_jobs():
                for output in self._engine.step():
                    self._dispatch(output)
        except BaseException as error:
            failure = TransientError(f"the vLLM engine failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            for request in self._requests.values():
                _resolve(request, failure)
            raise

    def _run_jobs(self) -> bool:
        """Run the waiting jobs; wait for one while the engine is idle. False when the engine is to be closed."""
        while True:
            try:
                job = self._jobs.get(block=not self._engine.has_unfinished_requests())
            except queue.Empty:
                return True
            if job is None:
                return False
            job()

    def _dispatch(self, output: Any) -> None:
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
