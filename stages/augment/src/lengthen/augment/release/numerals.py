"""Numbers as they are written in length demands: 3000, 3,000, 三千."""

from __future__ import annotations

import re

_DIGITS = "零一二三四五六七八九"
_VALUES = {character: value for value, character in enumerate(_DIGITS)} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_MYRIAD = 10_000
NUMERAL = rf"(?:\d{{1,3}}(?:[,，]\d{{3}})+|\d+|[{''.join(_VALUES)}十百千万]+)"


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
        ValueError: it is not a numeral.
    """
    plain = re.sub("[,，]", "", numeral)
    if plain.isascii() and plain.isdigit():
        return int(plain)
    high, myriad, low = numeral.rpartition("万")
    if myriad:
        return _value_below_myriad(high) * _MYRIAD + (_value_below_myriad(low) if low else 0)
    return _value_below_myriad(numeral)


def _below_myriad(number: int) -> str:
    text, gap = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            text += (_DIGITS[0] if gap and text else "") + _DIGITS[digit] + name
        gap = not digit
    return text


def _value_below_myriad(text: str) -> int:
    total, digit, last = 0, None, _MYRIAD
    for character in text:
        if character in _UNITS and _UNITS[character] < last:
            last = _UNITS[character]
            total += (1 if digit is None else digit) * last
            digit = None
        elif character in _VALUES and digit in (None, 0):
            digit = _VALUES[character]
        else:
            raise ValueError(f"{text} is not a number in Chinese characters")
    return total + (digit or 0)
