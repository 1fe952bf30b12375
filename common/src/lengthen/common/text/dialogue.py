"""Find what belongs to a chat and not to a text: turns of user and assistant, a model's thoughts, control tokens of chat templates."""

from __future__ import annotations

import re

from lengthen.common.text.blocks import BlockReader, Kind
from lengthen.common.text.markdown import FENCE, strip_code

_USER = r"(?:user|human|用户|人类|提问者)"
_ASSISTANT = r"(?:assistant|ai|ai assistant|chatgpt|助手|ai助手|人工智能助手)"
_TURN = re.compile(rf"^[ \t>#*_]*(?:(?P<user>{_USER})|(?P<assistant>{_ASSISTANT}))[*_ \t]*[:：]", re.IGNORECASE | re.MULTILINE)
_HEADED_TURN = re.compile(
    r"^[ \t]*#{1,4}[ \t]*(?:(?:instruction|human|assistant|user)[ \t]*:?|(?:response|input|output)[ \t]*:"
    r"|(?:指令|用户|助手|回复)[ \t]*[:：]?)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_SPEAKER = re.compile(r"^[ \t>#*_]*[\w ]{1,20}[*_ \t]*[:：]", re.MULTILINE)
_THOUGHTS = re.compile(
    r"</?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|answer|final_answer)(?:\s[^<>\n]{0,80})?>", re.IGNORECASE
)
_TOKEN = re.compile(
    r"<[|｜][^<>|｜\s]{1,40}[|｜]>|<(?:start_of_turn|end_of_turn|start_of_image|bos|eos|pad|unk|sep|cls|mask|turn\||\|turn|extra_id_\d+)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|BOS|EOS|PAD|UNK|CLS|SEP|MASK|gMASK|sMASK|sop|eop)\]"
    r"|<</?SYS>>|<(?:sop|eop|s_start|s_end|im_start|im_end|eot|eod|EOT|EOS)>|<\|[a-z_]{2,30}\b|\[\|(?:Human|AI|endofturn|system|user|assistant)\|\]"
)
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_STRIKE = re.compile(r"<(/?)s>")


def find_control_text(text: str) -> str | None:
    """The first tag of a model's thoughts or control token of a common chat template outside code; or None."""
    if "<" not in text and "[" not in text:
        return None
    prose = _without_fences(text)
    if match := _THOUGHTS.search(prose) or _TOKEN.search(prose):
        return match.group()
    marks = _STRIKE.findall(prose)
    return "<s> or </s>" if marks.count("") != marks.count("/") else None


def _without_fences(text: str) -> str:
    """A text without code blocks between fences and without inline code. Lines of HTML stay: tags of thoughts look like them."""
    reader, kept = BlockReader(), []
    for line in text.split("\n"):
        kind = reader.kind(line)
        if kind is not Kind.CODE or not (reader.opened_by or FENCE.match(line)):
            kept.append(line)
    return _INLINE_CODE.sub(" ", "\n".join(kept))


def find_role_turn(text: str) -> str | None:
    """A line that begins a turn of a user or of an assistant outside code; or None. One of "User:" alone can be a text's own."""
    prose = strip_code(text)
    if match := _HEADED_TURN.search(prose):
        return match.group().strip()
    turns = list(_TURN.finditer(prose))
    if len({turn["user"] is None for turn in turns}) == 2:
        return f"{turns[0].group().strip()} … {turns[-1].group().strip()}"
    # One role alone can be a character of a script, or a term that is explained, unless it is the only speaker and has the last word.
    last = prose.rstrip().rpartition("\n\n")[-1]
    if turns and _TURN.match(last) and len(_SPEAKER.findall(prose)) == 1:
        return turns[-1].group().strip()
    return None
