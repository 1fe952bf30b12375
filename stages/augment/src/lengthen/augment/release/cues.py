"""The patterns that find length demands in a language's texts, from `readings/LANGUAGE.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from lengthen.augment.release.numerals import CHINESE_DIGITS, NUMERAL

_TRADITIONAL = "萬兩個數於過內頁約長範圍應須幾餘來為條題節詞漢單總達別寫這後說間"
_SIMPLIFIED = "万两个数于过内页约长范围应须几余来为条题节词汉单总达别写这后说间"
# Read alike: traditional and simplified characters, full-width digits and letters, emphasis and spaces, apostrophes.
_SAME = str.maketrans(f"{_TRADITIONAL}．*_\u00a0\u3000’‘", f"{_SIMPLIFIED}.    ''") | {
    code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
}


def plain(text: str) -> str:
    """The text with these characters replaced: positions stay the same."""
    return text.translate(_SAME)


class Cues:
    """The compiled patterns of one language.

    `quantity` finds a number, or a range, perhaps with its unit; `before` matches the cue that ends at a position, `after` the
    one that begins there. The name of the group is the meaning of the cue.
    """

    def __init__(self, text: str) -> None:
        raw = tomllib.loads(text.replace("{number}", NUMERAL))
        unit, joints = rf"[\s-]*(?:{raw['unit']})", rf"[\s-]*(?:{raw['joints']})[\s-]*"
        suffix = _named({f"suffix_{name}": pattern for name, pattern in raw["suffix"].items()})
        # After a number with its own unit, the range's other end needs a unit too: not "2,000 words and 3 poems".
        high = rf"(?:{unit}{joints}(?={NUMERAL}{unit})|(?P<joint>{joints}))(?P<high>{NUMERAL})"
        self.quantity = _compiled(
            rf"(?<![a-z\d$£€¥#第{CHINESE_DIGITS}])(?<!\d[.,，、/])(?<![a-z][-–])(?<![{CHINESE_DIGITS}]\s)(?!千万字)(?!(?<=[数几上])[十百千万])"
            rf"(?P<low>{NUMERAL})(?:{high})?(?:\s?[(（]{NUMERAL}[)）])?(?:{suffix})?(?P<unit>{unit})?(?P<attribute>{raw['attribute']})?"
        )
        self.before = _compiled(rf"(?<![a-z'])(?:{_named(raw['before'])}){raw['separator']}\Z")
        self.after = _compiled(rf"[\s,-]*(?P<open>[(（])?(?:{_named(raw['after'])}){raw['end_of_token']}(?(open)[)）]?)")
        self.joint_needs_between = _compiled(raw["joints_between"])
        self.between_bounds = _compiled(raw["bounds"]["between"])
        self.other_unit = _compiled(raw["other_unit"])
        self.dropped_before, self.dropped_after = _ending(raw["dropped"]["before"]), _any(raw["dropped"]["after"])
        self.topic, self.attribute_topic = _ending([raw["dropped"]["topic"]]), _ending([raw["dropped"]["attribute_topic"]])
        self.dropped_before_attribute = _ending([raw["dropped"]["attribute_before"]])
        self.stated = _ending([raw["unclear"]["stated"]])
        self.demanded = _compiled(raw["demanded"] + r"\Z")
        self.still_demanded = _compiled(raw["dropped"]["unless_followed_by"])
        self.of_each = _ending([raw["unclear"]["of_each"]])
        self.unclear_directly_before = _ending(raw["unclear"]["directly_before"])
        self.unclear_before_number = _ending([raw["unclear"]["before_number"]])
        self.unclear_before, self.unclear_after = _ending(raw["unclear"]["before"]), _any(raw["unclear"]["after"])
        self.part_before, self.part_after = _ending([raw["unclear"]["part_before"]]), _compiled(raw["unclear"]["part_after"])
        self.negated = _ending([raw["unclear"]["negated"]])
        self.several, self.article = _compiled(raw["several"]["after"]), _ending([raw["several"]["unless_before"]])
        self.loose = _any(raw["loose"]["patterns"])
        self.short_forms = _any([pattern.replace("{form}", raw["short_forms"]["form"]) for pattern in raw["short_forms"]["patterns"]])


@cache
def load_cues(language: str) -> Cues:
    file = resources.files("lengthen.augment.release") / "readings" / f"{language}.toml"
    return Cues(file.read_text(encoding="utf-8"))


def _named(patterns: Mapping[str, str]) -> str:
    return "|".join(f"(?P<{name}>{pattern})" for name, pattern in patterns.items())


def _ending(patterns: list[str]) -> re.Pattern[str]:
    """One of the patterns, on the line that ends at a position."""
    return _compiled(rf"(?<![a-z])(?:{'|'.join(patterns)})[^\S\n]*\Z")


def _any(patterns: list[str]) -> re.Pattern[str]:
    return _compiled("|".join(f"(?:{pattern})" for pattern in patterns))


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
