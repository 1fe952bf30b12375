"""Judge a text: whole, or by section where it is longer than the judge can read; asked again when a reply can't be read.

Every reply is journalled under a digest of what was asked and of whom, so a stage that resumes doesn't pay twice.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from lengthen.common.engine.protocol import Completion
from lengthen.common.ids import attempt_seed, text_digest
from lengthen.common.promptfile import PromptFile, load_prompt
from lengthen.common.settings import Judge
from lengthen.common.store.calls import RowCalls
from lengthen.common.tables import QUALITIES
from lengthen.common.text.languages import LANGUAGES
from lengthen.common.text.paragraphs import join_paragraphs, split_paragraphs
from lengthen.common.text.words import count_words
from lengthen.evaluate.judge.asked import AskedJudge, Reply
from lengthen.evaluate.judge.reply import Unreadable, read_grades, reply_tokens
from lengthen.evaluate.tenths import tenths

_VARIABLES = {"instruction", "text", "part", "mark", "analysis_words"}
_PART = {
    "en": "The text is only a part of a longer one, so it may begin and end abruptly.",
    "zh": "这只是一篇较长文本的一部分，开头和结尾可能不完整。",
}
_RETRY_TEMPERATURE = 0.7  # the first attempt is greedy, and asking the same again would give the same
UNJUDGED: dict[str, Any] = {
    "quality": None, **{f"quality_{name}": None for name in QUALITIES}, "quality_by_tenth": None, "judge": None, "judge_note": None,
    "judge_input_tokens": 0, "judge_output_tokens": 0, "judge_cost": None,
}  # fmt: skip
Grades = dict[str, float]


class _NoScore(Exception):
    """Why a text gets no grades."""


@dataclass
class _Spent:
    input_tokens: int = 0
    output_tokens: int = 0


def load_judge_prompts() -> dict[str, PromptFile]:
    """By language: the judge is asked in that of the prompt."""
    return {language: load_prompt("lengthen.evaluate", f"judge.{language}.txt", _VARIABLES) for language in LANGUAGES}


class Judging:
    """A judge, its prompts and its limits."""

    def __init__(self, asked: AskedJudge, settings: Judge, prompts: dict[str, PromptFile], seed: int) -> None:
        self.asked, self.settings, self.prompts, self.seed = asked, settings, prompts, seed

    async def judge(self, instruction: str, text: str, language: str, calls: RowCalls) -> dict[str, Any]:
        """The judge's columns of a row. Without grades, `judge_note` says why."""
        spent, row = _Spent(), UNJUDGED | {"judge": self.asked.name}
        try:
            row |= await self._graded(instruction, text, language, calls, spent)
        except _NoScore as problem:
            row["judge_note"] = str(problem)
        price = spent.input_tokens * self.settings.input_price + spent.output_tokens * self.settings.output_price
        return row | {"judge_input_tokens": spent.input_tokens, "judge_output_tokens": spent.output_tokens, "judge_cost": price / 1e6}

    async def _graded(self, instruction: str, text: str, language: str, calls: RowCalls, spent: _Spent) -> dict[str, Any]:
        if not text.strip():
            raise _NoScore("empty: there is nothing to judge")
        if found := next((token for token in self.asked.control_tokens if token in instruction or token in text), None):
            raise _NoScore(f"control_tokens: {found}")
        parts = self._sections(instruction, text, language)
        weighted = [(count_words(part), await self._ask(instruction, part, language, len(parts) > 1, calls, spent)) for part in parts]
        grades = _mean(weighted)
        row: dict[str, Any] = {f"quality_{name}": grade for name, grade in grades.items()} | {"quality": _overall(grades)}
        if self.settings.by_tenth:
            pieces = [piece for piece in tenths(text) if piece.strip()]
            judged = [await self._ask(instruction, piece, language, True, calls, spent) for piece in pieces]
            row["quality_by_tenth"] = [_overall(found) for found in judged] if len(judged) == 10 else None
        return row

    def _sections(self, instruction: str, text: str, language: str) -> list[str]:
        """The text, or as few equal parts of it as the judge can read, cut between paragraphs."""
        room = self.asked.context_tokens - reply_tokens(self.settings.analysis_words)
        if self.asked.count_tokens(self._prompt(instruction, text, language, False)) <= room:
            return [text]
        if len(text) < 200:
            raise _NoScore("over_context: the judge's context leaves no room beside the instruction")
        return [part for half in _halves(text) for part in self._sections(instruction, half, language)]

    def _prompt(self, instruction: str, text: str, language: str, is_part: bool) -> str:
        # The mark is a digest of the texts, so neither can hold it and end its place early.
        mark = text_digest(instruction + "\x1f" + text)[:12]
        return self.prompts[language].fill(
            instruction=instruction,
            text=text,
            mark=mark,
            part=_PART[language] if is_part else "",
            analysis_words=str(self.settings.analysis_words),
        )

    async def _ask(self, instruction: str, text: str, language: str, is_part: bool, calls: RowCalls, spent: _Spent) -> Grades:
        prompt, problem = self._prompt(instruction, text, language, is_part), ""
        for attempt in range(self.settings.attempts):
            reply = await self._reply(prompt, attempt, calls)
            spent.input_tokens += reply.input_tokens
            spent.output_tokens += reply.output_tokens
            problem = reply.problem
            if not problem:
                try:
                    return read_grades(reply.text)
                except Unreadable as error:
                    problem = f"unreadable: {error}"
            if problem.startswith("unreachable"):  # the client has tried again already
                break
        raise _NoScore(problem)

    async def _reply(self, prompt: str, attempt: int, calls: RowCalls) -> Reply:
        name = f"judge.{text_digest(f'{self.asked.name}{prompt}')}.{attempt}"
        if known := calls.calls.take(calls.row, name):
            return Reply(**json.loads(known.text))
        # By content, not by row: equal texts get equal grades.
        seed, temperature = attempt_seed(self.seed, name, attempt), _RETRY_TEMPERATURE if attempt else 0.0
        # An analysis that ran over its room is left out the next time.
        async with calls.calls.admitted():
            reply = await self.asked.ask(prompt, seed, temperature, 0 if attempt else self.settings.analysis_words)
        calls.calls.add(calls.row, name, Completion(json.dumps(asdict(reply)), 0, "stop"))  # no tokens of the evaluated model
        return reply


def _halves(text: str) -> tuple[str, str]:
    """Cut between the paragraphs nearest to the middle; in the middle of a single one."""
    paragraphs = split_paragraphs(text)
    if len(paragraphs) < 2:
        return text[: len(text) // 2], text[len(text) // 2 :]
    ends = [sum(map(len, paragraphs[:count])) for count in range(1, len(paragraphs))]
    cut = 1 + min(range(len(ends)), key=lambda at: abs(ends[at] - len(text) / 2))
    return join_paragraphs(paragraphs[:cut]), join_paragraphs(paragraphs[cut:])


def _mean(weighted: list[tuple[int, Grades]]) -> Grades:
    """Grades of sections, weighted by their words."""
    total = sum(max(1, words) for words, _ in weighted)
    return {name: math.fsum(max(1, words) * grades[name] for words, grades in weighted) / total for name in QUALITIES}


def _overall(grades: Grades) -> float:
    return math.fsum(grades.values()) / len(grades)
