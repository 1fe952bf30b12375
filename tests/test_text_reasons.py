"""Every reason of the check in both languages: texts that it must refuse, with the detail, and texts that it must accept."""

from __future__ import annotations

import pytest
from lengthen.common.config.stages import Check
from lengthen.common.method.extend.prompt import load_extend_prompt
from lengthen.common.text.check import REASONS, check_text
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.phrases.patterns import load_patterns
from lengthen.common.text.rejection import Rejection

LIMITS = Check(min_words=3)
ENGLISH = "The river was high that spring, and the men of the village had to carry their boats over the bridge in the dark."
CHINESE = "那年春天河水涨得很高，村里的人只好在夜里扛着船走过桥去，孩子们跟在后面，一声也不敢出。"
FRENCH = "La rivière était haute ce printemps et les hommes du village ont dû porter leurs bateaux sur le pont dans la nuit."
RUSSIAN = "Река той весной стояла высоко, и мужчинам деревни пришлось нести лодки через мост в темноте."
JAPANESE = "その春は川の水が高くて、村の人たちは夜のうちに舟をかついで橋をわたらなければならなかった。"
PROMPT = load_extend_prompt("en").template.template
ITEMS = "\n".join(f"{n}. Be kind to them." for n in range(1, 8))

REFUSED = [
    ("en", "", "empty", "0 words"),
    ("en", "Two words.", "too_short", "2 words < 3"),
    ("en", f"Do this:\n\n{ITEMS}", "repeated_lines", "0.8"),
    ("en", f"{ENGLISH} It says <|im_end|> here.", "control_tokens", "<|im_end|>"),
    ("en", f"{ENGLISH} The r\ufffdver.", "garbled", "at character 118"),
    ("en", f"{ENGLISH} {'qwrtpsdfgkl ' * 6}.", "garbled", "0.3"),
    ("en", f"{ENGLISH} Aaaaaaaaaaaaaaaaaaaaaargh{'h' * 90}.", "garbled", "0.50 unreadable"),
    ("en", CHINESE, "language", "1.00 in another script"),
    ("en", RUSSIAN, "language", "1.00 in another script"),
    ("en", JAPANESE, "language", "1.00 in another script"),
    ("en", FRENCH, "language", "of it is fr"),
    ("en", f"{ENGLISH}\n\n{CHINESE}", "language", "0.6"),
    ("zh", ENGLISH, "language", "1.00 in another script"),
    ("zh", FRENCH, "language", "1.00 in another script"),
    ("zh", RUSSIAN, "language", "1.00 in another script"),
    ("zh", JAPANESE, "language", "in another script"),
    ("en", "I'm sorry, but I can't help with that request.", "refused", "I'm sorry"),
    ("en", "I’m really sorry, but I cannot write this story for you.", "refused", "I’m really sorry"),
    ("en", "I am unable to assist with this request.", "refused", "I am unable"),
    ("en", "I cannot fulfill your request.", "refused", "I cannot fulfill"),
    ("en", "Sorry, I can't create content of that kind.", "refused", "Sorry"),
    ("zh", "很抱歉，我无法满足您的要求。", "refused", "很抱歉"),
    ("zh", "对不起，这个问题我不能回答。", "refused", "对不起"),
    ("zh", "我无法提供这方面的内容。", "refused", "我无法提供"),
    ("en", f"Sure! Here's an expanded version of your draft:\n\n{ENGLISH}", "meta_talk", "Here's an expanded version"),
    ("en", f"{ENGLISH}\n\nYour response should contain exactly 30 bullet points.", "meta_talk", "Your response should"),
    ("en", f"{ENGLISH}\n\nPlease include at least two quotes.", "meta_talk", "Please include at least two quotes"),
    ("en", f"{ENGLISH}\n\nThe answer must be in English.", "meta_talk", "The answer must be"),
    ("en", f"[Your Full Answer]\n\n{ENGLISH}", "incomplete", "[Your Full Answer]"),
    ("zh", f"{CHINESE}\n\n（以下从略）", "incomplete", "从略"),
    ("en", f"{ENGLISH}\n\nUser: And then?\n\nAssistant: They slept.", "role_turn", "User: … Assistant:"),
    ("en", f"{ENGLISH}\n\nI made a few minor changes to keep the core of it.", "meta_talk", "I made a few minor changes"),
    ("en", f"In this short passage, I've woven together what makes it.\n\n{ENGLISH}", "meta_talk", "In this short passage, I've"),
    ("en", f"{ENGLISH}\n\nThe edits to the original text are small.", "meta_talk", "edits to the original text"),
    ("en", f"{ENGLISH}\n\nI hope this helps!", "meta_talk", "I hope this helps"),
    ("en", f"{ENGLISH}\n\nI hope it gives you a better idea of it.", "meta_talk", "I hope it gives you a better idea"),
    ("en", f"{ENGLISH}\n\nIt becomes clear when you read the full version of the story.", "meta_talk", "read the full version"),
    ("en", f"{ENGLISH}\n\nI will make sure to include some extra paragraphs.", "meta_talk", "include some extra paragraphs"),
    ("en", f"{ENGLISH}\n\nI'll try to write the last part of the story better!", "meta_talk", "write the last part of the story"),
    ("en", f"{ENGLISH}\n\nThis helps to improve the overall quality of the text itself.", "meta_talk", "the overall quality of the text"),
    ("en", f"{ENGLISH}\n\nI might say that the best edit would be another one.", "meta_talk", "the best edit would be"),
    ("en", f"The content provided is a guide to bridges.\n\n{ENGLISH}", "meta_talk", "The content provided"),
    ("en", f"The original text was written in a more formal tone.\n\n{ENGLISH}", "meta_talk", "original text was written in a"),
    ("en", f"{ENGLISH}\n\nDo not use any commas in your response.", "meta_talk", "Do not use any commas"),
    ("en", f"{ENGLISH}\n\nAs a language model, I have no boat.", "meta_talk", "As a language model"),
    ("en", f"{ENGLISH}\n\nI hope you enjoyed the story, and I hope you liked the ending.", "meta_talk", "I hope you enjoyed the story"),
    ("en", f"{ENGLISH}\n\nIf you don’t agree, please let me know your opinion.", "meta_talk", "let me know your opinion"),
    ("en", f"The above article provides an excellent guide.\n\n{ENGLISH}", "meta_talk", "The above article"),
    ("en", f"{ENGLISH} He loved them" + ", and he loved his wife" * 4 + "...", "repetition", "and he loved his wife"),
    ("zh", f"{CHINESE}{'他走了，' * 7}他走了。", "repetition", "他 走 了"),
    ("zh", f"以下是扩写后的文章：\n\n{CHINESE}", "meta_talk", "以下是扩写后的文章"),
    ("zh", f"{CHINESE}\n\n希望这篇文章对您有所帮助！", "meta_talk", "希望这篇文章对您"),
    ("zh", f"作为一个人工智能语言模型，我没有船。{CHINESE}", "meta_talk", "作为一个人工智能"),
    ("zh", f"{CHINESE}\n\n如果您还有其他问题，请随时告诉我。", "meta_talk", "如果您还有其他问题，请随时告诉我"),
    ("zh", f"{CHINESE}\n\n您的回答应该包含三个段落。", "meta_talk", "您的回答应"),
    ("en", f"{ENGLISH} Do not repeat and do not summarise. It was cold.", "prompt_leak", "do not repeat and do not"),
    ("en", f"{ENGLISH} And then", "unfinished", "And then"),
    ("zh", f"{CHINESE}后来", "unfinished", "后来"),
]  # fmt: skip
ACCEPTED = [
    ("en", ENGLISH),
    ("zh", CHINESE),
    ("en", f"{ENGLISH} They call it 大河, the great river, and its god 河伯."),
    ("zh", f"{CHINESE}他叫 John Smith，是从 New York 来的工程师，用 Python 写程序。"),
    ("zh", f"{CHINESE}\n\n```python\nfor boat in boats:\n    carry(boat, over=bridge, when='night')\n```\n\n这段代码很短。"),
    ("en", "Bienvenue, said the sign, and nobody in the town knew what it was that it wanted of them, or why it had been put up."),
    ("en", f"{ENGLISH} “I'm sorry, but I can't help you,” said the oldest of them."),
    ("en", "“I'm sorry, I can't do that,” said the ferryman, and he went back into his house."),
    ("zh", f"{CHINESE}“对不起，我不能回答你。”他说。"),
    ("en", "The response to the flood was slow, and its first version came to nothing."),
    ("en", "Please write to me, she said, and include your new address in the letter."),
    ("en", "The final answer came in spring: there was no bridge."),
    ("en", "The original text was written in Latin, and the best edition of it was lost. I will write more in the next letter."),
    ("zh", f"{CHINESE}修改后的法律第二年才公布，大家的回答各不相同。"),
    ("en", f"{ENGLISH} The Knightsbridge shop sold hymns with rhythm, pfft, to the HTTPS crowd for 0123456789 crowns."),
    ("en", "Two poems:\n\nYes.\n\nNo.\n\n" + ENGLISH + "\n\nYes.\n\nNo."),
]


@pytest.mark.parametrize(("language", "text", "reason", "detail"), REFUSED)
def test_a_refused_text_has_the_reason_and_its_detail(language: str, text: str, reason: str, detail: str) -> None:
    found = check_text(text, "stop", LIMITS, language=language, control_tokens=frozenset({"<|im_end|>"}), prompt=PROMPT)
    assert found is not None and found.reason == reason
    assert detail in found.detail


@pytest.mark.parametrize(("language", "text"), ACCEPTED)
def test_texts_that_resemble_refused_ones_are_accepted(language: str, text: str) -> None:
    assert check_text(text, "stop", LIMITS, language=language, prompt=PROMPT) is None


def test_every_reason_has_a_test() -> None:
    met = {reason for _, _, reason, _ in REFUSED} | {"finish_reason", "loop", "repetition"}
    assert met == set(REASONS)


@pytest.mark.parametrize(("language", "bound"), [("en", 40), ("zh", 52)])
def test_a_run_that_repeats_itself_is_a_loop_at_the_languages_bound(language: str, bound: int) -> None:
    """A second copy of a passage is none."""
    units = [f"w{n} " for n in range(2000)] if language == "en" else [chr(0x4E00 + n) for n in range(2000)]
    end = "." if language == "en" else "。"
    copy = "".join(units[100 : 100 + bound])
    for copies, reason in ((copy, None), (copy + copy[:-1], None), (copy * 2, "loop")):
        found = check_text("".join(units) + copies + end, "stop", LIMITS, language=language)
        assert (found and found.reason) == reason
        assert found is None or found.detail == f"{bound} words in a row that repeat the same words >= {bound}"


def test_repetition_is_refused_with_its_rate() -> None:
    parts = [" ".join(f"w{n}x{k}" for k in range(20)) for n in range(20)]
    some = ". ".join(word for part in zip(parts, [*parts[1:], "end"], strict=True) for word in part) + "."
    found = check_text(some, "stop", LIMITS, language="en")
    assert found is not None and found.reason == "repetition" and "> 4 x 0.05" in found.detail
    late = " ".join(f"word{n}" for n in range(4000)) + " " + some
    found = check_text(late, "stop", Check(max_repetition=0.05), language="en")
    assert found is not None and found == Rejection("repetition", found.detail) and found.detail.endswith("> 0.05")


@pytest.mark.parametrize("finish", ["loop", "repetition"])
def test_a_text_stopped_by_the_watch_is_refused_with_the_figure(finish: str) -> None:
    found = check_text("the same again " * 50, finish, LIMITS, language="en")
    assert found is not None and found.reason == "loop" and "in a row" in found.detail


def test_every_language_has_its_phrases() -> None:
    for language in LANGUAGES:
        for kind in ("meta_talk", "refused", "closing"):
            assert load_patterns(kind, language).pattern
            assert not load_patterns(kind, language).search(" ")


@pytest.mark.parametrize(
    "part", ["[", "*", "`a", "|--", "   ```x\n", "~~~\n```\n", "http://", "- ", "😊", "a", "中", " ", "\n", "${", ":--|"]
)
def test_the_check_is_fast_for_any_text(part: str) -> None:
    """With a regular expression in quadratic time this would take minutes."""
    check_text("x " + part * (100_000 // len(part)) + "a", "stop", Check(min_words=1, loop_words=10**6, max_repetition=1.0), language="en")
