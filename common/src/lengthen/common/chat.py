"""From chat messages to tokens, by the tokenizer's own template: the same for inference and for training.

The prefill is appended to the rendered generation prompt, not put through the template as a message: templates that trim
messages would drop its last paragraph break.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from lengthen.common.engine.protocol import Prompt
from lengthen.common.errors import UserError
from transformers import AutoTokenizer, PreTrainedTokenizerBase


class Chat:
    """A model folder's tokenizer and chat template."""

    def __init__(self, model: Path) -> None:
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(model, trust_remote_code=False, local_files_only=True)
        if not self.tokenizer.chat_template:
            raise UserError(f"{model} has no chat template; take a chat or instruct model")
        if self.tokenizer.eos_token is None:
            raise UserError(f"{model}: its tokenizer names no end token (eos_token)")

    @cached_property
    def control_tokens(self) -> frozenset[str]:
        added = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        return frozenset(added | set(self.tokenizer.all_special_tokens))

    def render(self, prompt: Prompt) -> str:
        """The text that the model continues, with the template's control tokens."""
        messages = [{"role": "user", "content": prompt.user}]
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return str(text) + prompt.prefill

    def encode(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, without a second beginning-of-text token.

        A prefill that ends in white space is split into tokens as it would be in front of a word: many tokenizers have a
        token for two line breaks that never stands in front of text, and which would be new to the model here.
        """
        text = self.render(prompt)
        if not prompt.prefill[-1:].isspace():
            return self.ids(text)
        ids, follower = self.ids(text + "A"), self.ids("A")
        return ids[: -len(follower)] if ids[-len(follower) :] == follower else self.ids(text)

    def encode_example(self, prompt: Prompt, answer: str) -> tuple[list[int], list[int]]:
        """Tokens of a training example: (the prompt's, those of the answer and its end token).

        The answer is split into tokens by itself, as inference has it: there too the prompt's tokens are fixed before.
        """
        messages = [{"role": "user", "content": prompt.user}, {"role": "assistant", "content": answer}]
        whole = str(self.tokenizer.apply_chat_template(messages, tokenize=False))
        rendered = self.render(prompt)
        if not whole.startswith(rendered):
            raise UserError(
                "the chat template renders a conversation otherwise than a prompt and its answer; such a model can't be trained here"
            )
        end = str(self.tokenizer.eos_token)
        tail = whole[len(rendered) :]
        answered, found, _ = tail.rpartition(end)
        if not found:
            raise UserError(f"the chat template doesn't close an answer with the tokenizer's end token {end}")
        return self.encode(prompt), self.ids(answered + end)

    def ids(self, text: str) -> list[int]:
        """The tokens of a text by itself."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
