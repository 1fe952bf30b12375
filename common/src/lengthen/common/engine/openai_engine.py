r"""Servers as the engine: any server with OpenAI's completions API for the same weights, such as several vLLM servers.

    VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve MODEL --enable-lora \
        --structured-outputs-config '{"backend": "guidance", "disable_any_whitespace": true}'    # for judging with `self`

Prompts are rendered here, with the model folder's own tokenizer and chat template, and sent as tokens. So a prefill works, and
inference agrees with training, however the server would render chat messages.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
from lengthen.common.config.engine import Endpoint
from lengthen.common.config.load import Config
from lengthen.common.engine.chat import Chat
from lengthen.common.engine.endpoint import api_key, error_line
from lengthen.common.engine.protocol import Completion, Prompt, PromptTooLong, SamplingParameters, WatchFunction
from lengthen.common.model.adapter import Adapter
from lengthen.common.process.errors import TransientError, UserError

_TRANSIENT = (408, 409, 429)  # statuses below 500 that the client retries: timeout, lock timeout, rate limit


class _IncompleteStream(Exception):
    """The stream ended without a finish reason."""


class OpenaiEngine:
    """See `protocol.Engine`. Made by `connect`. Whether the server has the weights of `model.path` can't be checked from here."""

    def __init__(self, config: Config, settings: Endpoint) -> None:
        self.settings = settings
        self.key = api_key(settings.api_key_variable, "engine.endpoint.api_key_variable")
        self.chat = Chat(config.model.path)
        self.control_tokens = self.chat.control_tokens
        self.context_tokens = config.model.max_model_len
        self._client = openai.AsyncOpenAI(
            base_url=settings.url, api_key=self.key, timeout=settings.timeout_seconds, max_retries=settings.max_retries
        )

    @classmethod
    async def connect(cls, config: Config, adapters: list[Adapter]) -> OpenaiEngine:
        """An engine whose server has the model and has loaded the adapters.

        Raises:
            UserError: the config has no endpoint, or the server refuses the key or lacks the model or an adapter.
            TransientError: the server can't be reached.
        """
        if config.engine.endpoint is None:
            raise UserError("--engine openai: engine.endpoint is missing in the config; set its url and model")
        engine = cls(config, config.engine.endpoint)
        try:
            await engine._prepare_server(adapters)
        except BaseException:
            await engine.close()
            raise
        return engine

    async def complete(
        self, prompt: Prompt, sampling: SamplingParameters, *, adapter: Adapter | None = None, watch: WatchFunction | None = None
    ) -> Completion:
        ids = self._within_context(self.chat.encode(prompt))
        # OpenAI's own API has none of these; vLLM does.
        extra: dict[str, Any] = {"top_k": sampling.top_k or -1, "repetition_penalty": sampling.repetition_penalty}
        if sampling.json_schema:
            extra["structured_outputs"] = {"json": sampling.json_schema}
        request: dict[str, Any] = {
            "model": self._name(adapter),
            "prompt": ids,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": min(sampling.max_tokens, self.context_tokens - len(ids)),
            "seed": sampling.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
            "extra_body": extra,
        }
        failures = 0
        while True:
            try:
                return await self._stream(request, copy.deepcopy(watch))  # each retry starts with an unused watch
            except (_IncompleteStream, openai.APIError) as error:  # the client retries requests, but not streams that broke off
                failures += 1
                if failures > self.settings.max_retries:
                    raise TransientError(
                        f"{self.settings.url}: the stream broke off {failures} times: {error_line(error, self.key)}"
                    ) from error
                await asyncio.sleep(0.5)

    async def score(self, prompt: Prompt, continuations: list[str], *, adapter: Adapter | None = None) -> list[float]:
        before = self.chat.encode(prompt)
        after = [self.chat.ids(text) for text in continuations]
        for ids in after:
            self._within_context(before + ids)
        if all(len(ids) == 1 for ids in after):
            return await self._next_token(before, [ids[0] for ids in after], adapter)
        sums = []
        for ids in after:  # one request for each token, as in vllm_engine for adapters; the server caches the common prefix
            firsts = await asyncio.gather(*(self._next_token(before + ids[:n], [token], adapter) for n, token in enumerate(ids)))
            sums.append(sum(first for [first] in firsts))
        return sums

    def count_tokens(self, prompt: Prompt) -> int:
        return len(self.chat.encode(prompt))

    async def close(self) -> None:
        await self._client.close()

    async def _stream(self, request: dict[str, Any], watch: WatchFunction | None) -> Completion:
        pieces: list[str] = []
        tokens, finish_reason = None, None
        async with await self._request(request) as stream:  # leaving it closes the connection, and the server stops generating
            async for chunk in stream:
                tokens = chunk.usage.completion_tokens if chunk.usage else tokens
                for choice in chunk.choices:
                    pieces.append(choice.text)
                    finish_reason = choice.finish_reason or finish_reason
                    if watch and choice.text and (reason := watch(choice.text)):
                        return self._completion(pieces, None, reason)
        if finish_reason is None:
            raise _IncompleteStream("no finish reason")
        return self._completion(pieces, tokens, finish_reason)

    def _completion(self, pieces: list[str], tokens: int | None, finish_reason: str) -> Completion:
        """`tokens` is None for an aborted request, for which the server reports no usage: they are counted here."""
        text = "".join(pieces)
        return Completion(text, len(self.chat.ids(text)) if tokens is None else tokens, finish_reason)

    async def _next_token(self, ids: list[int], choices: list[int], adapter: Adapter | None) -> list[float]:
        """The log-probability (nats) of each of the tokens `choices` after the tokens `ids`."""
        extra = {"logprob_token_ids": choices, "return_tokens_as_token_ids": True}
        request = {"model": self._name(adapter), "prompt": ids, "max_tokens": 1, "temperature": 0.0, "logprobs": 1, "extra_body": extra}
        reply = await self._request(request)
        try:
            first = reply.choices[0].logprobs.top_logprobs[0]
            return [float(first[f"token_id:{token}"]) for token in choices]
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.settings.url} does not return the log-probabilities of given tokens (logprob_token_ids, as vLLM 0.32 does); "
                "use such a server, or --engine vllm"
            ) from error

    async def _request(self, request: dict[str, Any]) -> Any:
        with self._api_errors():
            return await self._client.completions.create(**request)

    async def _prepare_server(self, adapters: list[Adapter]) -> None:
        """Check that the server has the model, and load the adapters that it lacks."""
        with self._api_errors():
            try:
                served = [model.id async for model in self._client.models.list()]
            except (openai.APIResponseValidationError, AttributeError, TypeError, ValueError) as error:
                raise UserError(f"{self.settings.url}/models: not the answer of an OpenAI-compatible API; correct the url") from error
        if self.settings.model not in served:
            raise UserError(
                f"engine.endpoint.model: {self.settings.url} serves {', '.join(served) or 'nothing'}, not {self.settings.model}"
            )
        for adapter in adapters:
            if self._name(adapter) not in served:
                await self._load(self._name(adapter), str(adapter.path.resolve()))

    async def _load(self, name: str, folder: str) -> None:
        body = {"lora_name": name, "lora_path": folder}
        with self._api_errors():
            try:
                await self._client.post("/load_lora_adapter", body=body, cast_to=str, options={"max_retries": 0})
            except openai.APIStatusError as error:
                raise UserError(
                    f"{self.settings.url} does not serve the adapter {name} and does not load {folder} ({error.status_code}); serve it "
                    "under this name, or start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 on a host with this folder"
                ) from error

    @contextmanager
    def _api_errors(self) -> Iterator[None]:
        try:
            yield
        except openai.APIError as error:
            line = error_line(error, self.key)
            if isinstance(error, openai.APIStatusError) and error.status_code < 500 and error.status_code not in _TRANSIENT:
                raise UserError(f"{self.settings.url} refuses the request: {line}; correct engine.endpoint or the settings") from error
            raise TransientError(f"{self.settings.url}: {line}") from error  # after all of the client's retries

    def _name(self, adapter: Adapter | None) -> str:
        """The model's name at the server. An adapter's is made of its digest, so another adapter can't be taken for it."""
        return f"lengthen-{adapter.sha256[:16]}" if adapter else self.settings.model

    def _within_context(self, ids: list[int]) -> list[int]:
        if len(ids) >= self.context_tokens:
            raise PromptTooLong(f"{len(ids)} tokens of prompt in a context of {self.context_tokens}")
        return ids
