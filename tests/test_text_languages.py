"""The language of texts with formulas, code and symbols."""

from __future__ import annotations

import pytest
from lengthen.common.config.stages import Check
from lengthen.common.text.check import check_text
from lengthen.common.text.garbled import find_garbled
from lengthen.common.text.languages import detect, foreign_share, script_units
from lengthen.common.text.words import count_words

LIMITS = Check(min_words=1)

CHINESE = {
    "inline formulas": "设函数 $f(x) = \\frac{\\sin x}{x} + \\ln(1 + x)$，则 $\\lim_{x \\to 0} f(x) = 1$，因此 $f$ 在零点连续。",
    "parentheses": "由 \\(\\alpha + \\beta = \\gamma\\) 可知 \\(\\cos\\alpha \\neq \\cos\\beta\\)，两边相等。",
    "a block": "我们得到：\n$$\n\\begin{aligned}\n\\text{total} &= \\text{width} \\\\\n&= ab\n\\end{aligned}\n$$\n证明完毕。",
    "brackets": "于是有\n\\[ \\text{area of the square} = \\left( \\frac{d}{\\sqrt{2}} \\right)^2 \\]\n这就是所求。",
    "an environment": "由此可得\n\\begin{align*}\n\\mathrm{force} &= \\mathrm{mass} \\cdot a \\\\\nF &= ma\n\\end{align*}\n结论成立。",
    "without marks": "把两个已知的数 x = 2, y = 3 代入方程得 x + y = 5，又因为 α > β，而判别式 Δ = b² − 4ac，所以 \\frac{p}{q} 为有理数。",
    "code": "运行下面的程序：\n```python\nfor number in range(ten):\n    print(number, square(number))\n```\n输出十个数。",
    "code without a fence": '程序如下：\n\nint main() {\n    printf("hello big world");\n    return total;\n}\n\n运行后输出一行。',
}


@pytest.mark.parametrize("text", CHINESE.values(), ids=CHINESE)
def test_chinese_with_formulas_or_code_is_chinese(text: str) -> None:
    assert foreign_share(script_units(text), "zh") <= 0.1
    assert detect(text) == "zh"
    found = check_text(text, "stop", LIMITS, language="zh")
    assert found is None or found.reason not in ("language", "garbled")


def test_english_with_formulas_and_code_is_english() -> None:
    text = "The sum of the series is $\\sum_{k=1}^n \\alpha_k$, and it is what we have to prove for all n.\n\n"
    text += (
        "\\[ \\lambda \\mu \\nu \\times \\text{rrrrrrrr} \\]\n\n```c\nint xkcdbcdfg = 0;\n```\n\nIt was the end of it: λ = μ, and 𝑥 ∈ ℝ."
    )
    assert detect(text) == "en"
    assert foreign_share(script_units(text), "en") == 0
    assert find_garbled(text) is None


def test_a_text_in_another_language_is_not_hidden_by_its_formulas() -> None:
    english = "We get $x = 1$ from this, and it is the end of the proof that we have to give for all of the others."
    assert detect(english) == "en" and foreign_share(script_units(english), "zh") == 1
    assert detect("Η θάλασσα ήταν ήρεμη και το πλοίο έφυγε.") == "el"
    assert foreign_share(script_units("Η θάλασσα ήταν ήρεμη και το πλοίο έφυγε."), "en") == 1


def test_words_are_counted_as_the_docstring_says() -> None:
    assert count_words("一㐀，Ａ") == 4
    assert count_words("\U00020000\U00020001 﨑﨑 かな 한국 word") == 5  # a run of other characters is one word
