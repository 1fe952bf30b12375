"""A judge model behind an OpenAI-compatible endpoint.

The client library retries requests after server errors and timeouts, with exponential backoff and the server's Retry-After.
An error that remains belongs to one reply (`Reply.problem`), unless every request would have it: then it is raised.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import openai
from lengthen.common.config.stages import Judge
from lengthen.common.engine.endpoint import api_key, error_line
from lengthen.common.process.errors import TransientError, UserError
from lengthen.evaluate.judge.protocol import Reply
from lengthen.evaluate.judge.reply import reply_tokens, schema

_BYTES_A_TOKEN = 3  # UTF-8: a Chinese character has 3, an English token 4 to 5; so the estimate is rather too high


class EndpointJudge:
    """See `protocol.JudgeModel`.

    Raises:
        UserError: the environment variable of the API key is not set.
    """

    control_tokens: frozenset[str] = frozenset()

    def __init__(self, settings: Judge) -> None:
        self.url, self.model = str(settings.url), settings.model
        self.name, self.context_tokens = f"{settings.model}@{urlsplit(self.url).netloc}", settings.context_tokens
        self._key = api_key(settings.api_key_variable, "evaluate.judge.api_key_variable")
        self._supports_schema = True
        self._client = openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self._key,
            timeout=settings.timeout_seconds,
            max_retries=settings.max_retries,
        )

    async def ask(self, prompt: str, seed: int, temperature: float, analysis_words: int) -> Reply:
        try:
            return _reply(await self._request(prompt, seed, temperature, analysis_words))
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise UserError(
                f"evaluate.judge: {self.url} rejected the request: {error_line(error, self._key)}; check url, model and API key"
            ) from error
        except openai.APITimeoutError:
            return Reply("", problem="unreachable: timed out")
        except openai.APIConnectionError as error:
            raise TransientError(
                f"evaluate.judge: {self.url} cannot be reached ({error_line(error, self._key)}); run the same command again"
            ) from error
        except openai.APIStatusError as error:
            return Reply("", problem=f"unreachable: {error_line(error, self._key)}")
        except (openai.APIError, ValueError) as error:
            return Reply("", problem=f"unreadable: {error_line(error, self._key)}")

    async def _request(self, prompt: str, seed: int, temperature: float, analysis_words: int) -> Any:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": reply_tokens(analysis_words),
            "temperature": temperature,
            "seed": seed,
        }
        grades = {"name": "grades", "strict": True, "schema": schema(analysis_words)}
        response_format: dict[str, Any] = (
            {"response_format": {"type": "json_schema", "json_schema": grades}} if self._supports_schema else {}
        )
        try:
            return await self._client.chat.completions.create(**request, **response_format)
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            if not response_format:
                raise
        reply = await self._client.chat.completions.create(**request)
        self._supports_schema = False  # without a schema the request succeeded, so the schema was the problem
        return reply

    def count_tokens(self, text: str) -> int:
        return len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN + 1


def _reply(answer: Any) -> Reply:
    """Parse the response; servers that are not fully compatible omit fields."""
    usage = getattr(answer, "usage", None)
    tokens = (int(getattr(usage, "prompt_tokens", 0) or 0), int(getattr(usage, "completion_tokens", 0) or 0))
    choices = getattr(answer, "choices", None)
    if not choices:
        return Reply("", *tokens, "unreadable: no choices")
    message = choices[0].message
    if choices[0].finish_reason == "content_filter" or getattr(message, "refusal", None):
        return Reply("", *tokens, f"refused: {str(getattr(message, 'refusal', None) or 'content filter')[:100]}")
    return Reply(message.content or "", *tokens)
