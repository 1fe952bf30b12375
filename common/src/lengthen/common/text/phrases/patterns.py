"""Find phrases for which a text is rejected: talk about the text itself, a refusal to write it, words of the prompt.

The phrases are regular expressions in `KIND.LANGUAGE.txt` in this folder, one per line, in lower case. A line `{name}=…` defines a part
of the others. They are matched with `folded` texts, because Python's regular expressions are three times as slow without regard to case.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from lengthen.common.text.languages import LANGUAGES

EDGE = 500  # characters at each end that are searched for meta talk; elsewhere such phrases can be the text's subject
_DEFINITION = re.compile(r"(\{[a-z]+\})=(.*)")
_NAME = re.compile(r"\{[a-z]+\}")
_SALUTATION_LINES = 8  # a letter may begin with addresses and a date
_SIGNATURE_LINES = 6
_VARIABLE = re.compile(r"\$\{?\w+\}?")
_WORD = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3400-\u4dbf\u4e00-\u9fff]+(?:'\w+)?")


def find_phrase(kind: str, language: str, text: str) -> str | None:
    """The first phrase of a kind in a text, as the text has it; or None."""
    match = load_patterns(kind, language).search(folded(text))
    return text[match.start() : match.end()] if match else None


def find_meta_talk(text: str, language: str) -> str | None:
    """A phrase about the text itself, or an instruction that the model invented, at the beginning or end of a text; or None."""
    return find_phrase("meta_talk", language, text[:EDGE]) or find_phrase("meta_talk", language, text[-EDGE:])


def find_refusal(text: str, language: str) -> str | None:
    """The words at the beginning of a text that refuse the instruction; or None. Elsewhere, a character of a story may say them."""
    beginning = text[:EDGE].lstrip("#* \t\r\n")
    match = load_patterns("refused", language).match(folded(beginning))
    return beginning[: match.end()] if match else None


def find_prompt_leak(text: str, prompt: str, language: str) -> str | None:
    """A sequence of the prompt template's words that occurs in the text; or None. Values of variables do not count."""
    n = LANGUAGES[language].leak
    words = f" {_words(text)} "
    for part in _VARIABLE.split(prompt):
        prompt_words = _words(part).split()
        for start in range(len(prompt_words) - n + 1):
            if f" {(sequence := ' '.join(prompt_words[start : start + n]))} " in words:
                return sequence
    return None


@cache
def load_patterns(kind: str, language: str) -> re.Pattern[str]:
    """The regular expressions of a phrase file, as one. Blank lines and comment lines (#) are ignored."""
    file = resources.files("lengthen.common.text") / "phrases" / f"{kind}.{language}.txt"
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    names = {match[1]: match[2] for line in lines if (match := _DEFINITION.match(line))}
    lines = [_NAME.sub(lambda match: names[match.group()], line) for line in lines if not _DEFINITION.match(line)]
    # Phrases that begin at a word are tried at words only, with one test of that for all of them.
    words, others = [line[2:] for line in lines if line.startswith("\\b")], [line for line in lines if not line.startswith("\\b")]
    return re.compile("|".join([*others, rf"\b(?:{'|'.join(words)})"] if words else others), re.MULTILINE)


def is_letter(text: str, language: str) -> bool:
    """Whether a text is a letter, an e-mail or a speech: it begins with a salutation, or ends with a closing and a signature."""
    lines = [line.strip("*_#~> ") for line in folded(text[:EDGE]).split("\n") if line.strip()][:_SALUTATION_LINES]
    last = [line.strip("*_#~> ") for line in folded(text[-EDGE:]).split("\n") if line.strip()][-_SIGNATURE_LINES:-1]
    closing = load_patterns("closing", language)
    return any(map(load_patterns("salutation", language).match, lines)) or any(map(closing.fullmatch, last))


def folded(text: str) -> str:
    """A text in lower case and with straight apostrophes, as the phrase files have them."""
    return text.replace("’", "'").lower()


def _words(text: str) -> str:
    """The words (Chinese: characters) of a text, in lower case, with single spaces between them."""
    return " ".join(_WORD.findall(folded(text)))
