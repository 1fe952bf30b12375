"""How long training rows can become with the given settings, against finetune's limits.

    generator, writer   prompt and answer: a response, or an expansion
    extender            extend prompt with a response, and an expansion

An expansion is an opening and its continuation, each from one completion. Prompt and completion fit in the context, and in expand the
prompt has the draft and the opening. So no row is longer than the context either.
"""

from __future__ import annotations

from lengthen.common.config.load import Config

_CHAT_TOKENS = 64  # of a chat template: Qwen2.5's with its system prompt takes 30, Llama 3.1's with its dates 40
_EXTEND_TOKENS = 192  # of the extend prompt's own words; in Chinese 90 to 180


def over_long_rows(config: Config) -> list[str]:
    """A line for each of finetune's limits that a row can exceed, with the fix."""
    response, expansion = config.generate.sampling.max_tokens, 2 * config.expand.sampling.max_tokens
    prompt = config.augment.sampling.max_tokens + _CHAT_TOKENS
    longest = {
        "max_tokens_generator": prompt + max(response, expansion),
        "max_tokens_extender": prompt + _EXTEND_TOKENS + response + expansion,
    }
    lines = []
    for name, tokens in longest.items():
        tokens, limit = min(tokens, config.model.max_model_len), getattr(config.finetune, name)
        if limit < tokens:
            lines.append(
                f"finetune.{name} ({limit}) is less than a row can have ({tokens} tokens): finetune would reject the longest rows; "
                "raise it, or lower expand.sampling.max_tokens"
            )
    return lines
