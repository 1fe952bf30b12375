"""Turn chat messages into tokens with the model's chat template, in the same way for inference and for training.

The prefill is appended to the rendered generation prompt, not rendered as a message: templates that trim messages would remove
its last paragraph break.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lengthen.common.engine.protocol import Prompt
from lengthen.common.process.errors import UserError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

_DATE = datetime(2024, 7, 26)  # for templates that tell the model today's date, so that a prompt is the same on any day
_VARIABLES: dict[str, Any] = {
    "enable_thinking": False,
    "date_string": f"{_DATE:%d %b %Y}",  # the variable and the format of Llama 3
    "strftime_now": _DATE.strftime,
}
_OPEN_THINKING = re.compile(r"<think(?:ing)?>(?!.*</think(?:ing)?>)", re.DOTALL)
_NO_THOUGHTS = re.compile(r"<think(?:ing)?>\s*</think(?:ing)?>\s*$")  # a template without thinking may add this to a prompt


class Chat:
    """A model folder's tokenizer and chat template. Thinking is off, if the template has a switch for it."""

    def __init__(self, model: Path) -> None:
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(model, trust_remote_code=False, local_files_only=True)
        if not self.tokenizer.chat_template:
            raise UserError(f"{model} has no chat template; use a chat or instruct model")
        if self.tokenizer.eos_token is None:
            raise UserError(f"{model}: its tokenizer has no end-of-sequence token (eos_token); set it in tokenizer_config.json")

        if _OPEN_THINKING.search(self._apply([{"role": "user", "content": "Hello."}], add_generation_prompt=True)):
            raise UserError(f"{model}: its chat template always makes the model think first; use a model with a switch (enable_thinking)")

    @cached_property
    def control_tokens(self) -> frozenset[str]:
        added = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        return frozenset(added | set(self.tokenizer.all_special_tokens))

    def render(self, prompt: Prompt) -> str:
        """The text that the model continues, with the template's control tokens."""
        messages = [{"role": "user", "content": prompt.user}]
        return self._apply(messages, add_generation_prompt=True) + prompt.prefill

    def encode(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, without a second beginning-of-text token.

        A prefill that ends in white space is tokenized as if a word followed: many tokenizers have a token for two line
        breaks that never occurs before text, so the model has not seen it there.
        """
        text = self.render(prompt)
        if not prompt.prefill[-1:].isspace():
            return self.ids(text)
        ids, word = self.ids(text + "A"), self.ids("A")
        return ids[: -len(word)] if ids[-len(word) :] == word else self.ids(text)

    def encode_example(self, prompt: Prompt, answer: str) -> tuple[list[int], list[int]]:
        """Tokens of a training example: (the prompt's, those of the answer and its end token).

        The answer is tokenized separately, because in inference the prompt's tokens are fixed before it.

        Raises:
            UserError: the chat template does not fit; see the messages.
        """
        messages = [{"role": "user", "content": prompt.user}, {"role": "assistant", "content": answer}]
        whole = self._apply(messages)
        rendered = self.render(prompt)
        if not whole.startswith(rendered):  # some templates add empty thoughts only to a prompt
            rendered = _NO_THOUGHTS.sub("", rendered)
        if not whole.startswith(rendered):
            raise UserError(
                "the chat template renders a conversation differently from a prompt and its answer; use a model with another template"
            )
        end = str(self.tokenizer.eos_token)
        tail = whole[len(rendered) :]
        answered, end_token, _ = tail.rpartition(end)
        if not end_token:
            raise UserError(
                f"the chat template does not end an answer with the end-of-sequence token {end}; use a model with another template"
            )
        return self.encode(prompt), self.ids(answered + end)

    def _apply(self, messages: list[dict[str, str]], *, add_generation_prompt: bool = False) -> str:
        """The messages as the template renders them."""
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt, **_VARIABLES))

    def ids(self, text: str) -> list[int]:
        """The tokens of a text without special tokens."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
