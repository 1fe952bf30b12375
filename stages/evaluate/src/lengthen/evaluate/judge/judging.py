"""Grade a text: whole, or in sections if it exceeds the judge's context; with a retry after an unreadable reply.

Every reply is journalled under a digest of the judge's name and the prompt, so a resumed stage does not repeat requests.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from lengthen.common.config.stages import Judge
from lengthen.common.engine.protocol import Completion
from lengthen.common.engine.recorded import RowEngine
from lengthen.common.method.ids import attempt_seed
from lengthen.common.method.prompt_file import PromptFile, load_prompt
from lengthen.common.tables.definitions import QUALITIES
from lengthen.common.text.digest import text_digest
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.paragraphs import join_paragraphs, split_paragraphs
from lengthen.common.text.words import count_words
from lengthen.evaluate.judge.protocol import JudgeModel, Reply
from lengthen.evaluate.judge.reply import UnreadableReply, read_grades, reply_tokens
from lengthen.evaluate.tenths import tenths

_VARIABLES = {"instruction", "text", "part", "mark", "analysis_words"}
_PART = {
    "en": "The text is only a part of a longer one, so it may begin and end abruptly.",
    "zh": "这只是一篇较长文本的一部分，开头和结尾可能不完整。",
}
_RETRY_TEMPERATURE = 0.7  # the first attempt has temperature 0, and a retry with 0 would give the same reply
NOT_JUDGED: dict[str, Any] = {
    "quality": None, **{f"quality_{name}": None for name in QUALITIES}, "quality_by_tenth": None, "judge": None, "judge_note": None,
    "judge_input_tokens": 0, "judge_output_tokens": 0, "judge_cost": None,
}  # fmt: skip
Grades = dict[str, float]


class _NoGrades(Exception):
    """Why a text has no grades: the value of `judge_note`."""


@dataclass
class _Usage:
    input_tokens: int = 0
    output_tokens: int = 0


def load_judge_prompts() -> dict[str, PromptFile]:
    """The judge's prompts by language; the language of the evaluated prompt is used."""
    return {language: load_prompt("lengthen.evaluate", f"judge.{language}.txt", _VARIABLES) for language in LANGUAGES}


class TextJudge:
    """Grades texts with a judge model, within its limits."""

    def __init__(self, model: JudgeModel, settings: Judge, prompts: dict[str, PromptFile], seed: int) -> None:
        self.model, self.settings, self.prompts, self.seed = model, settings, prompts, seed

    async def judge(self, instruction: str, text: str, language: str, engine: RowEngine) -> dict[str, Any]:
        """The columns of a row that the judge fills. Without grades, `judge_note` has the reason."""
        usage, row = _Usage(), NOT_JUDGED | {"judge": self.model.name}
        try:
            row |= await self._grade_columns(instruction, text, language, engine, usage)
        except _NoGrades as problem:
            row["judge_note"] = str(problem)
        price = usage.input_tokens * self.settings.input_price + usage.output_tokens * self.settings.output_price
        return row | {"judge_input_tokens": usage.input_tokens, "judge_output_tokens": usage.output_tokens, "judge_cost": price / 1e6}

    async def _grade_columns(self, instruction: str, text: str, language: str, engine: RowEngine, usage: _Usage) -> dict[str, Any]:
        if not text.strip():
            raise _NoGrades("empty: the text has no words")
        if found := next((token for token in self.model.control_tokens if token in instruction or token in text), None):
            raise _NoGrades(f"control_tokens: {found}")
        parts = self._sections(instruction, text, language)
        weighted = [(count_words(part), await self._grade(instruction, part, language, len(parts) > 1, engine, usage)) for part in parts]
        grades = _mean(weighted)
        row: dict[str, Any] = {f"quality_{name}": grade for name, grade in grades.items()} | {"quality": _overall(grades)}
        if self.settings.by_tenth:
            pieces = [piece for piece in tenths(text) if piece.strip()]
            graded = [await self._grade(instruction, piece, language, True, engine, usage) for piece in pieces]
            row["quality_by_tenth"] = [_overall(found) for found in graded] if len(graded) == 10 else None
        return row

    def _sections(self, instruction: str, text: str, language: str) -> list[str]:
        """The text, or parts of it that fit into the judge's context, split between paragraphs by repeated halving."""
        max_prompt_tokens = self.model.context_tokens - reply_tokens(self.settings.analysis_words)
        if self.model.count_tokens(self._prompt(instruction, text, language, False)) <= max_prompt_tokens:
            return [text]
        if len(text) < 200:
            raise _NoGrades("over_context: the instruction leaves no tokens for the text in the judge's context")
        return [part for half in _halves(text) for part in self._sections(instruction, half, language)]

    def _prompt(self, instruction: str, text: str, language: str, is_part: bool) -> str:
        # The mark is a digest of both texts, so neither of them can contain it and close its section.
        mark = text_digest(instruction + "\x1f" + text)[:12]
        return self.prompts[language].fill(
            instruction=instruction,
            text=text,
            mark=mark,
            part=_PART[language] if is_part else "",
            analysis_words=str(self.settings.analysis_words),
        )

    async def _grade(self, instruction: str, text: str, language: str, is_part: bool, engine: RowEngine, usage: _Usage) -> Grades:
        prompt, problem = self._prompt(instruction, text, language, is_part), ""
        for attempt in range(self.settings.attempts):
            reply = await self._reply(prompt, attempt, engine)
            usage.input_tokens += reply.input_tokens
            usage.output_tokens += reply.output_tokens
            problem = reply.problem
            if not problem:
                try:
                    return read_grades(reply.text)
                except UnreadableReply as error:
                    problem = f"unreadable: {error}"
            if problem.startswith("unreachable"):  # the client has retried already
                break
        raise _NoGrades(problem)

    async def _reply(self, prompt: str, attempt: int, engine: RowEngine) -> Reply:
        name = f"judge.{text_digest(f'{self.model.name}{prompt}')}.{attempt}"
        # The seed depends on the content, not on the row: equal texts get equal grades.
        seed, temperature = attempt_seed(self.seed, name, attempt), _RETRY_TEMPERATURE if attempt else 0.0

        async def ask() -> Completion:
            # A retry asks for no analysis: the first one may have exceeded its limit.
            reply = await self.model.ask(prompt, seed, temperature, 0 if attempt else self.settings.analysis_words)
            return Completion(json.dumps(asdict(reply)), 0, "stop")  # 0: not tokens of the evaluated model

        return Reply(**json.loads((await engine.once(name, ask)).text))


def _halves(text: str) -> tuple[str, str]:
    """Split at the paragraph break nearest to the middle; a single paragraph in its middle."""
    paragraphs = split_paragraphs(text)
    if len(paragraphs) < 2:
        return text[: len(text) // 2], text[len(text) // 2 :]
    ends = [sum(map(len, paragraphs[:count])) for count in range(1, len(paragraphs))]
    split = 1 + min(range(len(ends)), key=lambda at: abs(ends[at] - len(text) / 2))
    return join_paragraphs(paragraphs[:split]), join_paragraphs(paragraphs[split:])


def _mean(weighted: list[tuple[int, Grades]]) -> Grades:
    """The mean grades of sections, weighted by their words."""
    total = sum(max(1, words) for words, _ in weighted)
    return {name: math.fsum(max(1, words) * grades[name] for words, grades in weighted) / total for name in QUALITIES}


def _overall(grades: Grades) -> float:
    return math.fsum(grades.values()) / len(grades)
