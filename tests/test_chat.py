"""The chat template gives the same tokens in inference and in training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from conftest import ROOT
from lengthen.common.engine.chat import Chat
from lengthen.common.engine.protocol import Prompt
from lengthen.common.process.errors import UserError

ANSWER = "The river keeps bread.\n\nEvery stone was light.\n\nOur ocean turns."
# Like Llama 3.1's template, this one strips white space around a message.
TRIMMING = tiny.TEMPLATE.replace("message['content']", "message['content'] | trim")


EMBEDDED = ROOT / "models" / "smollm2-135m-instruct"  # built by `make test`


@pytest.fixture(params=["plain", "trimming", "SmolLM2"])
def chat(request: pytest.FixtureRequest, model: Path) -> Chat:
    if request.param == "SmolLM2":
        return Chat(EMBEDDED)
    found = Chat(model)
    found.tokenizer.chat_template = {"plain": tiny.TEMPLATE, "trimming": TRIMMING}[request.param]
    return found


def whole_conversation(chat: Chat, user: str, answer: str) -> list[int]:
    """The tokens of both messages as the template renders them, up to the answer's end token."""
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    ids = chat.tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"]
    return ids[: len(ids) - ids[::-1].index(chat.tokenizer.eos_token_id)]


@pytest.mark.parametrize("cut", range(1, 4))
def test_prompt_and_prefill_are_a_token_prefix_of_the_whole_conversation(chat: Chat, cut: int) -> None:
    prefill = "\n\n".join(ANSWER.split("\n\n")[:cut]) + ("\n\n" if cut < 3 else "")
    ids = chat.encode(Prompt("Write about rivers.", prefill))
    whole = whole_conversation(chat, "Write about rivers.", ANSWER)
    assert ids == whole[: len(ids)]
    assert chat.tokenizer.decode(ids).endswith(prefill)


def test_a_paragraph_break_at_the_end_of_a_prefill_is_not_stripped(chat: Chat) -> None:
    assert chat.render(Prompt("Hello.", "The river.\n\n")).endswith("assistant\nThe river.\n\n")


def test_without_prefill_the_prompt_is_the_templates_generation_prompt(chat: Chat) -> None:
    messages = [{"role": "user", "content": "Write about rivers."}]
    expected = chat.tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert chat.encode(Prompt("Write about rivers.")) == expected


def test_a_training_example_is_the_whole_conversation_and_ends_with_the_end_token(chat: Chat) -> None:
    prompt, answer = chat.encode_example(Prompt("Write about rivers."), ANSWER)
    assert prompt + answer == whole_conversation(chat, "Write about rivers.", ANSWER)
    assert answer[-1] == chat.tokenizer.eos_token_id
    assert chat.tokenizer.decode(answer[:-1]) == ANSWER


def test_a_template_that_changes_the_answer_is_refused(chat: Chat) -> None:
    chat.tokenizer.chat_template = "{% for m in messages %}{{ loop.length }}{{ m['content'] }}{% endfor %}"
    with pytest.raises(UserError, match="chat template"):
        chat.encode_example(Prompt("Hello."), ANSWER)


def test_a_model_without_a_template_is_refused(model: Path, tmp_path: Path) -> None:
    for file in model.iterdir():
        if file.name not in ("chat_template.jinja", "model.safetensors"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert "chat_template" not in settings
    with pytest.raises(UserError, match="no chat template"):
        Chat(tmp_path)


DATED = (
    "{{ 'Today is ' + (date_string if date_string is defined else strftime_now('%d %b %Y')) + '. ' + strftime_now('%Y') }}" + tiny.TEMPLATE
)
SWITCH = "{% if add_generation_prompt %}{{ '<think>\n\n</think>\n\n' if enable_thinking is false else '<think>\n' }}{% endif %}"


def with_template(model: Path, folder: Path, template: str) -> Path:
    """A copy of a model's tokenizer with another chat template."""
    for file in model.iterdir():
        if file.name != "model.safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "chat_template.jinja").write_text(template)
    return folder


def test_a_template_that_prints_the_date_gets_the_same_one_on_any_day(model: Path, tmp_path: Path) -> None:
    chat = Chat(with_template(model, tmp_path, DATED))
    assert chat.render(Prompt("Hello.")).startswith("Today is 26 Jul 2024. 2024<|im_start|>user")
    prompt, answer = chat.encode_example(Prompt("Hello."), ANSWER)
    assert prompt == chat.encode(Prompt("Hello.")) and chat.tokenizer.decode(answer[:-1]) == ANSWER


def test_thinking_is_off_in_inference_and_in_training(model: Path, tmp_path: Path) -> None:
    chat = Chat(with_template(model, tmp_path, tiny.TEMPLATE + SWITCH))
    assert chat.render(Prompt("Hello.", "The river.")).endswith("assistant\n<think>\n\n</think>\n\nThe river.")
    prompt, answer = chat.encode_example(Prompt("Hello."), ANSWER)
    assert prompt == chat.encode(Prompt("Hello.")) and chat.tokenizer.decode(answer[:-1]) == ANSWER


def test_a_template_that_always_opens_thoughts_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="enable_thinking"):
        Chat(with_template(model, tmp_path, tiny.TEMPLATE + "{% if add_generation_prompt %}{{ '<think>\n' }}{% endif %}"))
