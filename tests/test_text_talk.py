"""Talk around a text: what is cut off, what makes the text refused, and what only resembles talk; in two languages."""

from __future__ import annotations

import pytest
from lengthen.common.config.stages import Check
from lengthen.common.text.check import check_text
from lengthen.common.text.rejection import Rejection
from lengthen.common.text.talk import Trimmed, trim_talk

EN = """The river was high that spring, and the men of the village had to carry their boats over the bridge in the dark.

Nobody spoke until they had reached the other bank. Then old Pieter laughed, and the rest of them laughed with him."""
ZH = """那年春天河水涨得很高，村里的人只好在夜里扛着船走过桥去，孩子们跟在后面，一声也不敢出。

到了对岸，大家才松了一口气。老皮特先笑了起来，其他人也跟着笑了。"""
BODY = {"en": EN, "zh": ZH}
LIMITS = Check(min_words=10)

PREFACES = [
    # An interjection and an announcement
    ("en", "Certainly! Below is a detailed story about a river."),
    ("en", "Sure! Here's a 2,000-word essay on floods:"),
    ("en", "Of course. Here is the article you asked for:"),
    ("en", "Absolutely! Here is a short tale for you."),
    ("en", "Okay, here's my attempt at a story about the flood:"),
    ("en", "Certainly!\n\nHere is the essay:"),
    ("zh", "好的，以下是小说正文："),
    ("zh", "当然可以！下面是一篇关于春天的散文："),
    ("zh", "没问题，这里是为您写的故事："),
    ("zh", "好的！\n\n以下是这篇文章的全文："),
    # Without an interjection
    ("en", "Here's a detailed article on the spring flood:"),
    ("en", "Below is an essay of about 1,500 words on the subject."),
    ("en", "**Here is your story:**"),
    ("en", "### Here's the expanded version of your draft:"),
    ("en", "The following is a comprehensive report on the flood:"),
    ("zh", "以下是一篇两千字的散文："),
    ("zh", "下面是扩写后的文章："),
    # A courtesy beside it
    ("en", "I'd be happy to help you with that! Here's a story about the river:"),
    ("en", "What a wonderful topic! Here is an essay that explores it in depth."),
    ("en", "Thank you for the interesting prompt. Here's the story:"),
    ("zh", "很高兴为您服务。以下是您需要的故事："),
    ("zh", "这是一个很有意思的题目。下面是我写的文章："),
    # What it was written from
    ("en", "Based on your outline, I've written the following story:"),
    ("en", "As requested, here is the full text:"),
    ("zh", "根据您的要求，我写了下面这篇小说："),
    ("zh", "按照您提供的大纲，文章如下："),
    ("en", "Sure thing! The following essay explores the flood in around 1,800 words."),
    ("zh", "好的，没问题！以下是我为您创作的小说："),
    # A label
    ("en", "**Answer:**"),
    ("en", "Expanded Version"),
    ("en", "Full Story:"),
    ("en", "Original text:"),
    ("en", "(127 words)"),
    ("zh", "正文："),
    ("zh", "【扩写后的文章】"),
]
TRAILERS = [
    # Offers
    ("en", "Would you like me to continue with chapter two?"),
    ("en", "Shall I write the next chapter for you?"),
    ("en", "Do you want me to expand any of these parts?"),
    ("en", "Let me know if you'd like any changes."),
    ("en", "If you need further adjustments, I'm here to help."),
    ("en", "Feel free to ask if you want a different ending."),
    ("en", "I'd be happy to continue the story if you wish."),
    ("zh", "需要我继续写下去吗？"),
    ("zh", "您是否希望我对结尾进行修改？"),
    ("zh", "如果您想看后续的故事，我可以继续为您写。"),
    ("zh", "如需修改或补充，请随时告诉我。"),
    ("en", "Is there anything you would like me to change?"),
    ("en", "Would you like to read chapter two?"),
    ("en", "Would you like to know more about it? I'd be happy to share some more. Just let me know!"),
    ("en", "What do you think? What do you wish to explore further?"),
    ("en", "How does this letter look to you?"),
    ("en", "Feel free to modify the text according to your taste. Please make all changes that it needs."),
    ("zh", "您看这样写可以吗？"),
    # Word counts
    ("en", "(Word count: 2,512 words.)"),
    ("en", "**Word Count:** 1,204"),
    ("en", "[Approximately 1,500 words]"),
    ("en", "This story is about 2,000 words long."),
    ("en", "Total: 1,998 words"),
    ("zh", "（全文共3012字。）"),
    ("zh", "字数：2500字"),
    ("zh", "【全文约三千字】"),
    ("zh", "（注：本文共计2100字）"),
    # Hopes
    ("en", "I hope this helps!"),
    ("en", "I hope you enjoyed the story. Let me know what you think!"),
    ("en", "I hope this essay meets your requirements."),
    ("zh", "希望这篇文章对您有所帮助！"),
    ("zh", "希望您喜欢这个故事！"),
    ("zh", "希望以上内容能够满足您的要求。"),
    # Notes
    ("en", "Please note that this essay has been shortened for readability."),
    ("en", "Note: This story is a work of fiction, written to follow your prompt."),
    ("en", "This story was written as requested, in the third person."),
    ("zh", "请注意，本文情节纯属虚构。"),
    ("zh", "注：以上内容由AI生成，仅供参考。"),
    ("zh", "以上就是根据您的要求写的文章。"),
    # Several, behind a rule
    ("en", "---\n\nI hope you like it! It was a pleasure to write.\n\n(Word count: 1,050)"),
    ("zh", "---\n\n希望您喜欢！\n\n（全文约1050字）"),
]
REFUSED = [
    # Placeholders
    ("en", f"{EN}\n\n[Continue in this manner for the remaining nine chapters.]", "incomplete"),
    ("en", f"{EN}\n\n[The rest of the story follows the same pattern]\n\nHe never came back.", "incomplete"),
    ("en", f"{EN}\n\n(Chapters 3 to 9 omitted for brevity)\n\nHe never came back.", "incomplete"),
    ("en", f"{EN}\n\n[Insert a detailed description of the bridge here]\n\nHe never came back.", "incomplete"),
    ("en", f"[Your full answer here]\n\n{EN}", "incomplete"),
    ("en", f"{EN}\n\n[...]\n\nHe never came back.", "incomplete"),
    ("zh", f"{ZH}\n\n（由于篇幅限制，以下章节从略。）", "incomplete"),
    ("zh", f"{ZH}\n\n（此处省略五百字）\n\n他再也没有回来。", "incomplete"),
    ("zh", f"{ZH}\n\n【后续章节按照同样的方式展开】", "incomplete"),
    ("zh", f"{ZH}\n\n（略）", "incomplete"),
    # Statements that a part is missing
    ("en", f"{EN}\n\nTo be continued", "incomplete"),
    ("en", f"{EN}\n\n*To be continued…*", "incomplete"),
    ("en", f"I cannot provide a full 4,000-word story, but here is a shorter one:\n\n{EN}", "incomplete"),
    ("en", f"{EN}\n\nDue to length constraints, I have to stop here; the full story has nine chapters.", "incomplete"),
    ("en", f"{EN}\n\nThis is just an excerpt; a full 4,000-word story would also cover the winter.", "incomplete"),
    ("en", f'{EN}\n\nType "continue" for the next part.', "incomplete"),
    ("en", f"{EN}\n\nThe remaining chapters would follow the same structure.", "incomplete"),
    ("zh", f"{ZH}\n\n未完待续", "incomplete"),
    ("zh", f"{ZH}\n\n（未完待续……）", "incomplete"),
    ("zh", f"抱歉的是，我无法一次性写出完整的八千字小说，先写一个开头：\n\n{ZH}", "incomplete"),
    ("zh", f"{ZH}\n\n由于篇幅有限，这里只写了前两章。", "incomplete"),
    ("zh", f"{ZH}\n\n剩余的部分我稍后继续写。", "incomplete"),
    ("en", f"As there are length limits here, I will provide an outline of the 5,000-word essay instead.\n\n{EN}", "incomplete"),
    # Turns of a chat
    ("en", f"{EN}\n\nUser: Write more.\n\nAssistant: Gladly.", "role_turn"),
    ("en", f"{EN}\n\n**User:** And then?\n**AI:** He came back.", "role_turn"),
    ("en", f"{EN}\n\nHuman: That was good.", "role_turn"),
    ("en", f"{EN}\n\n### Instruction\nWrite a second chapter.", "role_turn"),
    ("en", f"{EN}\n\n### Response:\nHe came back.", "role_turn"),
    ("zh", f"{ZH}\n\n用户：再写一段。\n助手：他又回来了。", "role_turn"),
    ("zh", f"{ZH}\n\n人类：后来呢？\nAI：他又回来了。", "role_turn"),
    ("zh", f"{ZH}\n\n### 指令：\n再写一段。", "role_turn"),
    # Thoughts and control tokens
    ("en", f"<think>The user wants a story.</think>\n\n{EN}", "control_tokens"),
    ("en", f"The user wants a story.\n</think>\n\n{EN}", "control_tokens"),
    ("en", f"{EN}\n\n<thinking>Is it long enough?", "control_tokens"),
    ("en", f"{EN}<|eot_id|>", "control_tokens"),
    ("en", f"{EN} [/INST]", "control_tokens"),
    ("en", f"{EN}\n<end_of_turn>", "control_tokens"),
    ("en", f"{EN} </s>", "control_tokens"),
    ("zh", f"<think>\n用户想要一个故事。\n</think>\n\n{ZH}", "control_tokens"),
    ("zh", f"{ZH}<|im_end|>", "control_tokens"),
    ("zh", f"{ZH}<｜end▁of▁sentence｜>", "control_tokens"),
    # Speaking as a model
    ("en", f"As an AI language model, I have never seen a river. {EN}", "meta_talk"),
    ("en", f"{EN} I'm just an AI assistant, so this is all made up.", "meta_talk"),
    ("zh", f"作为人工智能助手，我没有见过河。{ZH}", "meta_talk"),
    ("zh", f"我是一个人工智能语言模型，没有见过河。{ZH}", "meta_talk"),
    # Open blocks
    ("en", f"{EN}\n\n| year | boats |\n|---|---|\n| 1921 | 14", "unfinished"),
    ("en", f"{EN}\n\n$$\na = b +", "unfinished"),
    ("en", f"{EN}\n\n```python\nboats = 14", "unfinished"),
    ("zh", f"{ZH}\n\n| 年 | 船 |\n|---|---|\n| 1921 | 14", "unfinished"),
    ("en", f"{EN}\n\n\\begin{{tabular}}{{ll}}\na & b", "unfinished"),
    ("zh", f"{ZH}\n\n\\[ a + b", "unfinished"),
    # An end in another language
    ("en", f"{EN}\n\n后来他们再也没有回到那座桥上去过。", "language"),
    ("zh", f"{ZH}\n\nAnd none of them ever went back to that bridge again.", "language"),
]
KEPT = [
    ("en", f"As an AI engineer, I build bridges between data and people.\n\n{EN}"),
    ("en", f"Dear Ms Low,\n\n{EN}\n\nPlease let me know if you have any questions.\n\nRegards,\nJohn"),
    ("en", f"Hi Anna,\n\n{EN}\n\nI hope you like the photographs.\n\nLove,\nRuth"),
    ("en", f"To whom it may concern,\n\n{EN}\n\nIf you need any further documents, I will be happy to send them.\n\nSincerely,\nJ. Low"),
    ("en", f"{EN}\n\n\\[ A = 9 \\times 12 = 108 \\text{{ square feet}} \\]"),
    ("en", f"Sure, I knew the river. {EN}"),
    ("en", f"Certainly, there were other boats. {EN}"),
    ("en", f"Of course. That was what he always said. {EN}"),
    ("en", f"Here is the thing about rivers: they rise. {EN}"),
    ("en", f"Here are the men of the village, and here is the bridge. {EN}"),
    ("en", f"This is the story of a river. {EN}"),
    ("en", f"{EN} “Would you like me to continue?” he asked."),
    ("en", f'{EN}\n\n"Shall I write to you?" she asked.'),
    ("en", f"{EN}\n\nLet me know what you think in the comments!"),
    ("en", f"{EN}\n\nIn this essay, I have argued that the flood was no accident."),
    ("en", f"{EN}\n\nNote that the bridge is closed in winter."),
    ("en", f"{EN}\n\n(The lights fade. The argument continues offstage.)"),
    ("en", f"Due to space constraints, the hospital moved across the river. {EN}"),
    ("en", f"ASSISTANT: Coffee, sir?\n\nMAYOR: No. Tell it again.\n\n{EN}\n\nASSISTANT: And then?"),
    ("en", f"{EN}\n\nRole: what a person may do.\n\nUser: the person who signs in."),
    ("en", f"### Ingredients\n\nFlour and water.\n\n### Instructions\n\n{EN}"),
    ("en", f"{EN}\n\nThe template ends a turn with `<|im_end|>`, and `[INST]` begins one."),
    ("en", f"{EN} This was <s>never</s> forgotten."),
    ("en", f"{EN}\n\n> 后来他们再也没有回到那座桥上去过。"),
    ("zh", f"作为人工智能的重要分支，机器学习改变了造桥的方法。{ZH}"),
    ("zh", f"尊敬的客户：\n\n{ZH}\n\n如果您有任何疑问，请随时联系我们。\n\n此致\n敬礼"),
    ("zh", f"{ZH}\n\n他说：“如果你见到她，请告诉我。”"),
    ("zh", f"{ZH}\n\n如果你见到她，请告诉我一声，老皮特说。"),
    ("zh", f"好的船不怕水。{ZH}"),
    ("zh", f"当然，那时候谁也没有想到后来的事。{ZH}"),
    ("zh", f"以下是村里人至今还在讲的事情。{ZH}"),
    ("zh", f"{ZH}\n\n请随时告诉我们您的想法。"),
    ("zh", f"{ZH}\n\n希望明年的春天不要再涨水。"),
    ("zh", f"{ZH}\n\n歌里唱道：“The river never sleeps in spring, and neither do its men.”"),
    ("zh", f"用户：指登录系统的人。权限：指他能做的事。\n\n{ZH}"),
    ("zh", f"{ZH}\n\n（灯光渐暗。）"),
]


def decided(text: str, language: str) -> tuple[Trimmed, Rejection | None]:
    """What generate does with an answer."""
    trimmed = trim_talk(text, language)
    return trimmed, check_text(trimmed.text, "stop", LIMITS, language=language)


@pytest.mark.parametrize(("language", "talk"), PREFACES)
def test_the_announcement_of_a_text_is_cut_off(language: str, talk: str) -> None:
    assert decided(f"{talk}\n\n{BODY[language]}", language) == (Trimmed(BODY[language], talk, ""), None)


@pytest.mark.parametrize(("language", "talk"), TRAILERS)
def test_remarks_after_a_text_are_cut_off(language: str, talk: str) -> None:
    assert decided(f"{BODY[language]}\n\n{talk}", language) == (Trimmed(BODY[language], "", talk), None)


@pytest.mark.parametrize(("language", "text", "reason"), REFUSED)
def test_a_text_that_is_not_whole_or_holds_a_chat_is_refused(language: str, text: str, reason: str) -> None:
    _, rejection = decided(text, language)
    assert rejection is not None and rejection.reason == reason


@pytest.mark.parametrize(("language", "text"), KEPT)
def test_what_resembles_talk_stays(language: str, text: str) -> None:
    assert decided(text, language) == (Trimmed(text, "", ""), None)


def test_both_ends_are_cut_and_kept_in_the_column() -> None:
    trimmed = trim_talk(f"Sure! Here's the story:\n\n{EN}\n\n(Word count: 42)", "en")
    assert trimmed == Trimmed(EN, "Sure! Here's the story:", "(Word count: 42)")
    assert trimmed.removed == "Sure! Here's the story:\n…\n(Word count: 42)"


def test_words_in_the_last_paragraph_are_cut_at_a_sentence() -> None:
    assert trim_talk(f"{EN} (Word count: 42)", "en") == Trimmed(EN, "", "(Word count: 42)")
    assert trim_talk(f"{ZH}需要我继续写下去吗？", "zh") == Trimmed(ZH, "", "需要我继续写下去吗？")


@pytest.mark.parametrize("talk", ["Certainly! Below is a story.", "I hope this helps!", "好的，以下是正文："])
def test_a_text_of_nothing_but_talk_is_not_cut_but_refused(talk: str) -> None:
    language = "en" if talk.isascii() else "zh"
    assert trim_talk(talk, language) == Trimmed(talk, "", "")
    assert check_text(talk, "stop", Check(min_words=1), language=language) is not None


def test_indentation_at_the_beginning_stays() -> None:
    assert trim_talk(f"Here's the poem:\n\n    The river\n  was high.\n\n{EN}", "en").text.startswith("    The river")


def test_a_letter_is_cut_out_of_the_talk_around_it() -> None:
    letter = f"Dear Anna,\n\n{EN}\n\nYours,\nRuth"
    talk = "Feel free to modify this letter to suit your needs."
    assert trim_talk(f"Here's a draft of the letter:\n\n---\n\n{letter}\n\n---\n\n{talk}", "en").text == letter
