r"""Servers as the engine: whatever answers OpenAI's completions API for the same weights, such as a fleet of vLLM servers.

    VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve MODEL --enable-lora \
        --structured-outputs-config '{"backend": "guidance", "disable_any_whitespace": true}'    # for judging with `self`

Prompts are rendered here and sent as tokens, by the model folder's own tokenizer and template: a prefill is a prefill, and
inference agrees with training, whatever the server would make of chat messages.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import httpx2
import openai
from lengthen.common.chat import Chat
from lengthen.common.config import Config
from lengthen.common.endpoint import api_key, said
from lengthen.common.engine.protocol import Adapter, Completion, Prompt, PromptTooLong, SamplingParameters, WatchFunction
from lengthen.common.errors import TransientError, UserError
from lengthen.common.settings import Endpoint


class _BrokenStream(Exception):
    """A stream that ended before the answer did."""


class OpenaiEngine:
    """See `protocol.Engine`. That the server has the weights of `model.path` can't be seen from here.

    Raises:
        UserError: there is no endpoint in the config, it refuses the key, or it serves neither the model nor the adapter.
        TransientError: it can't be reached.
    """

    def __init__(self, config: Config, adapters: list[Adapter]) -> None:
        if config.engine.endpoint is None:
            raise UserError("--engine openai: engine.endpoint is missing in the config; give it a url and the model's name there")
        self.settings: Endpoint = config.engine.endpoint
        self.key = api_key(self.settings.api_key_variable, "engine.endpoint.api_key_variable")
        self.chat = Chat(config.model.path)
        self.control_tokens = self.chat.control_tokens
        self.context_tokens = config.model.context_tokens
        self._serve(adapters)
        self._client = openai.AsyncOpenAI(
            base_url=self.settings.url,
            api_key=self.key,
            timeout=self.settings.timeout_seconds,
            max_retries=self.settings.retries,
            default_headers={"Connection": "close"},  # so that none is left open when the event loop ends
        )

    async def complete(
        self, prompt: Prompt, sampling: SamplingParameters, *, adapter: Adapter | None = None, watch: WatchFunction | None = None
    ) -> Completion:
        ids = self._within_context(self.chat.encode(prompt))
        request: dict[str, Any] = {
            "model": self._name(adapter),
            "prompt": ids,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": min(sampling.max_tokens, self.context_tokens - len(ids)),
            "seed": sampling.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
            # OpenAI's own API knows neither; vLLM does.
            "extra_body": {"top_k": sampling.top_k or -1, "repetition_penalty": sampling.repetition_penalty} | _form(sampling.json_schema),
        }
        tries = 0
        while True:
            try:
                return await self._stream(request, copy.deepcopy(watch))  # a new try is watched from its beginning
            except (_BrokenStream, openai.APIError) as error:  # the library repeats requests, but not streams that broke off
                tries += 1
                if tries > self.settings.retries:
                    raise TransientError(f"{self.settings.url}: the stream broke off {tries} times: {said(error, self.key)}") from error
                await asyncio.sleep(0.5)

    async def score(self, prompt: Prompt, continuations: list[str], *, adapter: Adapter | None = None) -> list[float]:
        before = self.chat.encode(prompt)
        after = [self.chat.ids(text) for text in continuations]
        for ids in after:
            self._within_context(before + ids)
        if all(len(ids) == 1 for ids in after):
            return await self._next_token(before, [ids[0] for ids in after], adapter)
        sums = []
        for ids in after:  # a request a token, as vllm_engine has it for adapters; the server keeps the beginning in its cache
            firsts = await asyncio.gather(*(self._next_token(before + ids[:place], [token], adapter) for place, token in enumerate(ids)))
            sums.append(sum(first for [first] in firsts))
        return sums

    def count_tokens(self, prompt: Prompt) -> int:
        return len(self.chat.encode(prompt))

    def close(self) -> None:
        """Nothing stays open: each request has a connection of its own."""

    async def _stream(self, request: dict[str, Any], watch: WatchFunction | None) -> Completion:
        pieces: list[str] = []
        tokens, finish_reason = None, None
        async with await self._ask(request) as stream:  # leaving it closes the connection, and the server stops writing
            async for chunk in stream:
                tokens = chunk.usage.completion_tokens if chunk.usage else tokens
                for choice in chunk.choices:
                    pieces.append(choice.text)
                    finish_reason = choice.finish_reason or finish_reason
                    if watch and choice.text and (reason := watch(choice.text)):
                        return self._completion(pieces, None, reason)
        if finish_reason is None:
            raise _BrokenStream("no finish reason")
        return self._completion(pieces, tokens, finish_reason)

    def _completion(self, pieces: list[str], tokens: int | None, finish_reason: str) -> Completion:
        """An aborted request has no account of its tokens: they are counted here."""
        text = "".join(pieces)
        return Completion(text, len(self.chat.ids(text)) if tokens is None else tokens, finish_reason)

    async def _next_token(self, ids: list[int], choices: list[int], adapter: Adapter | None) -> list[float]:
        extra = {"logprob_token_ids": choices, "return_tokens_as_token_ids": True}
        request = {"model": self._name(adapter), "prompt": ids, "max_tokens": 1, "temperature": 0.0, "logprobs": 1, "extra_body": extra}
        reply = await self._ask(request)
        try:
            first = reply.choices[0].logprobs.top_logprobs[0]
            return [float(first[f"token_id:{token}"]) for token in choices]
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.settings.url} doesn't tell the log-probabilities of named tokens (logprob_token_ids, as vLLM 0.32 does); "
                "take such a server, or --engine vllm"
            ) from error

    async def _ask(self, request: dict[str, Any]) -> Any:
        try:
            return await self._client.completions.create(**request)
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError, openai.BadRequestError) as error:
            raise UserError(
                f"{self.settings.url} refuses: {said(error, self.key)}; mend engine.endpoint or the request's settings"
            ) from error
        except openai.APIError as error:  # busy, failing, silent or away, after all retries
            raise TransientError(f"{self.settings.url}: {said(error, self.key)}") from error

    def _serve(self, adapters: list[Adapter]) -> None:
        """See that the server has the model, and has it load the adapters."""
        with httpx2.Client(headers={"Authorization": f"Bearer {self.key}"}, timeout=self.settings.timeout_seconds) as client:
            served = self._served(client)
            if self.settings.model not in served:
                raise UserError(
                    f"engine.endpoint.model: {self.settings.url} serves {', '.join(served) or 'nothing'}, not {self.settings.model}"
                )
            for adapter in adapters:
                if self._name(adapter) not in served:
                    self._load(client, adapter)

    def _served(self, client: httpx2.Client) -> list[str]:
        try:
            reply = client.get(f"{self.settings.url.rstrip('/')}/models")
        except httpx2.HTTPError as error:
            raise TransientError(f"{self.settings.url} can't be reached: {said(error, self.key)}") from error
        if reply.status_code >= 500 or reply.status_code == 429:
            raise TransientError(f"{self.settings.url}/models answers {reply.status_code}")
        try:
            return [str(model["id"]) for model in reply.raise_for_status().json()["data"]]
        except (httpx2.HTTPStatusError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.settings.url}/models: {said(error, self.key)}; is it an OpenAI-compatible API, with this key?"
            ) from error

    def _load(self, client: httpx2.Client, adapter: Adapter) -> None:
        name, folder = self._name(adapter), adapter.path.resolve()
        try:
            reply = client.post(f"{self.settings.url.rstrip('/')}/load_lora_adapter", json={"lora_name": name, "lora_path": str(folder)})
        except httpx2.HTTPError as error:
            raise TransientError(f"{self.settings.url} can't be reached: {said(error, self.key)}") from error
        if reply.is_error:
            raise UserError(
                f"{self.settings.url} has no adapter {name} and doesn't load {folder} ({reply.status_code}); serve it under this name, "
                "or start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 on a machine that sees the folder"
            )

    def _name(self, adapter: Adapter | None) -> str:
        """The adapter's digest is its name: a server can't mistake an earlier one for it."""
        return f"lengthen-{adapter.sha256[:16]}" if adapter else self.settings.model

    def _within_context(self, ids: list[int]) -> list[int]:
        if len(ids) >= self.context_tokens:
            raise PromptTooLong(f"{len(ids)} tokens of prompt in a context of {self.context_tokens}")
        return ids


def _form(json_schema: str | None) -> dict[str, Any]:
    return {"structured_outputs": {"json": json_schema}} if json_schema else {}
