"""Numbers as they are written in length demands: 3000, 3,000, 3k, 3千, 三千, three thousand."""

from __future__ import annotations

import re
from fractions import Fraction

_DIGITS = "零一二三四五六七八九"
_VALUES = {character: value for digits in (_DIGITS, "0123456789") for value, character in enumerate(digits)} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000}
_MYRIAD = _UNITS["万"]
_SUFFIXES = {"k": 1000, "w": _MYRIAD, "hundred": 100, "thousand": 1000} | _UNITS
_ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_SMALL_VALUES = {word: value for value, word in enumerate(_ONES.split(), start=1)} | {"a": 1, "an": 1}
CHINESE_DIGITS = f"{_DIGITS}〇两{''.join(_UNITS)}"
_TIMES_TEN = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_TIMES_TEN.split(), start=2)}


def _english() -> str:
    """A pattern of numbers in English words. A joined number never ends inside another one: two thousand and | three thousand."""
    joint, whole = r"[\s-]+", r"(?![\s-]+(?:hundred|thousand))"
    small = "|".join(sorted(_SMALL_VALUES.keys() - {"a", "an"}, key=len, reverse=True))
    below_100 = rf"(?:(?:{'|'.join(_TENS)})(?:[\s-](?:{small}))?|{small})"
    rest = rf"(?:{joint}(?:and{joint})?{below_100}{whole})?"
    below_1000 = rf"(?:(?:an?|{below_100}){joint}hundred{rest}|{below_100})"
    thousands = rf"(?:an?|(?:an?|{below_100})(?:{joint}and)?{joint}a{joint}half|{below_1000}){joint}thousand"
    return rf"\b(?:{thousands}(?:{joint}(?:and{joint})?{below_1000}{whole})?|{below_1000})\b"


# In digits, perhaps followed by a multiple: 2.5k, 1万5, 3千5百; in Chinese characters; in English words.
NUMERAL = (
    r"(?:\d+(?:\.\d+)?\s?(?:k(?![a-z])|w(?![a-z])|[\s-]?(?:hundred|thousand)\b|[百千万](?:\d[百千]?(?!\d))?(?:\d百)?)"
    r"|\d{1,3}(?:,\d{3})+|\d{1,3}(?:，\d{3})+(?=\s?个?字)|\d{1,2}(?: 000)+|\d+"
    rf"|[{CHINESE_DIGITS}]+|{_english()})"
)


def arabic(number: int, *, grouped: bool) -> str:
    """3000, or 3,000 if grouped."""
    return f"{number:,}" if grouped else str(number)


def chinese(number: int) -> str:
    """A number below 100 million in Chinese characters: 2000 is 两千, 1050 is 一千零五十, 15 is 十五.

    Raises:
        ValueError: it is negative or larger.
    """
    if not 0 <= number < _MYRIAD**2:
        raise ValueError(f"{number} is not between 0 and 99,999,999")
    if number == 0:
        return _DIGITS[0]
    high, low = divmod(number, _MYRIAD)
    text = (_below_myriad(high) + "万" if high else "") + (_DIGITS[0] if high and 0 < low < 1000 else "")
    text += _below_myriad(low) if low else ""
    text = text.removeprefix("一") if text.startswith("一十") else text
    return re.sub("^二(?=[千万])|二(?=千)", "两", text)


def value(numeral: str) -> int:
    """The number that a numeral of any form means; the inverse of `arabic` and `chinese`.

    Raises:
        ValueError: it is not a numeral, or not a whole number.
    """
    plain = re.sub(r"[,，\s-]+", " ", numeral.lower()).strip()
    digits = plain.replace(" ", "")
    if digits.isascii() and digits.isdigit():
        return int(digits)
    if match := re.fullmatch(r"([\d.]+)([a-z]+|[百千万])", digits):
        number = Fraction(match[1]) * _SUFFIXES.get(match[2], 0)
        if number < 1 or number.denominator != 1:
            raise ValueError(f"{numeral} is not a whole number")
        return int(number)
    return _english_value(plain) if plain.isascii() else _chinese_value(digits)


def multiple(numeral: str) -> int:
    """The only multiple in a numeral: 1000 in 三千, 3k and three thousand; 1 in 3000 and 三千五百."""
    found = re.findall(r"hundred|thousand|(?<=[\d\s])[kw]|[十百千万]", numeral.lower())
    return _SUFFIXES[found[0]] if len(found) == 1 else 1


def _below_myriad(number: int) -> str:
    text, gap = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            text += (_DIGITS[0] if gap and text else "") + _DIGITS[digit] + name
        gap = not digit
    return text


def _chinese_value(text: str) -> int:
    high, myriad, low = text.rpartition("万")
    if not myriad:
        return _value_below_myriad(text, short=1)
    return (_value_below_myriad(high, short=1) if high else 1) * _MYRIAD + _value_below_myriad(low, short=1000)


def _value_below_myriad(text: str, short: int) -> int:
    """The value of a last digit without its unit is the next lower unit: 500 in 两千五, and `short` at the beginning (1万5)."""
    total, digit, last = 0, None, _MYRIAD
    for character in text:
        if character in _UNITS and _UNITS[character] < last:
            last = _UNITS[character]
            total, digit, short = total + (1 if digit is None else digit) * last, None, last // 10
        elif character in _VALUES and digit in (None, 0):
            digit, short = _VALUES[character], short if digit is None else 1
        else:
            raise ValueError(f"{text} is not a number in Chinese characters")
    return total + (digit or 0) * short


def _english_value(text: str) -> int:
    total, current = 0, Fraction(0)
    for word in text.replace("and a half", "half").split():
        if word in ("hundred", "thousand"):
            total, current = total + int((current or 1) * _SUFFIXES[word]), Fraction(0)
        elif word == "half":
            current += Fraction(1, 2)
        elif word in _SMALL_VALUES or word in _TENS:
            current += _SMALL_VALUES.get(word) or _TENS[word]
        elif word != "and":
            raise ValueError(f"{text} is not a number in words")
    return total + int(current)
