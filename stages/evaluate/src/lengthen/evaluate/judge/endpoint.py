"""A judge behind an OpenAI-compatible endpoint.

The client library repeats requests that met a busy or failing server or timed out, with growing pauses and as the server's
Retry-After says. What is left after that is a problem of one reply, but for those that every request would have.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import openai
from lengthen.common.endpoint import api_key, said
from lengthen.common.errors import TransientError, UserError
from lengthen.common.settings import Judge
from lengthen.evaluate.judge.asked import Reply
from lengthen.evaluate.judge.reply import reply_tokens, schema

_BYTES_A_TOKEN = 3  # UTF-8: a Chinese character has 3, English 4 to 5 a token; so this errs on the long side


class EndpointJudge:
    """See `asked.AskedJudge`.

    Raises:
        UserError: the variable that should hold the key is not set.
    """

    control_tokens: frozenset[str] = frozenset()

    def __init__(self, settings: Judge) -> None:
        self.url, self.model = str(settings.url), settings.model
        self.name, self.context_tokens = f"{settings.model}@{urlsplit(self.url).netloc}", settings.context_tokens
        self._key = api_key(settings.api_key_variable, "evaluate.judge.api_key_variable")
        self._knows_schemas = True
        self._client = openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self._key,
            timeout=settings.timeout_seconds,
            max_retries=settings.retries,
            default_headers={"Connection": "close"},  # so that none is left open when the event loop ends
        )

    async def ask(self, prompt: str, seed: int, temperature: float, analysis_words: int) -> Reply:
        try:
            return _reply(await self._request(prompt, seed, temperature, analysis_words))
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise UserError(f"evaluate.judge: {self.url} refuses: {said(error, self._key)}; mend the url, the model or its key") from error
        except openai.APITimeoutError:
            return Reply("", problem="unreachable: timed out")
        except openai.APIConnectionError as error:
            raise TransientError(f"evaluate.judge: {self.url} can't be reached ({said(error, self._key)})") from error
        except openai.APIStatusError as error:
            return Reply("", problem=f"unreachable: {said(error, self._key)}")
        except (openai.APIError, ValueError) as error:
            return Reply("", problem=f"unreadable: {said(error, self._key)}")

    async def _request(self, prompt: str, seed: int, temperature: float, analysis_words: int) -> Any:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": reply_tokens(analysis_words),
            "temperature": temperature,
            "seed": seed,
        }
        grades = {"name": "grades", "strict": True, "schema": schema(analysis_words)}
        form: dict[str, Any] = {"response_format": {"type": "json_schema", "json_schema": grades}} if self._knows_schemas else {}
        try:
            return await self._client.chat.completions.create(**request, **form)
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            if not form:
                raise
        reply = await self._client.chat.completions.create(**request)
        self._knows_schemas = False  # it answers without one, so that is what it refused
        return reply

    def count_tokens(self, text: str) -> int:
        return len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN + 1


def _reply(answer: Any) -> Reply:
    """Servers that are only nearly compatible leave fields out."""
    usage = getattr(answer, "usage", None)
    spent = (int(getattr(usage, "prompt_tokens", 0) or 0), int(getattr(usage, "completion_tokens", 0) or 0))
    choices = getattr(answer, "choices", None)
    if not choices:
        return Reply("", *spent, "unreadable: no choices")
    message = choices[0].message
    if choices[0].finish_reason == "content_filter" or getattr(message, "refusal", None):
        return Reply("", *spent, f"refused: {str(getattr(message, 'refusal', None) or 'content filter')[:100]}")
    return Reply(message.content or "", *spent)
