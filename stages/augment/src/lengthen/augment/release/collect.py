"""Which answers a release contains: a pure function of the datasets and the settings. Each other row has a reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from lengthen.augment.contamination import BenchmarkIndex
from lengthen.augment.release.answers import Answer, not_selected, read_answers, text_column
from lengthen.augment.release.reading import read_demands
from lengthen.common.config.load import Config
from lengthen.common.config.stages import Release
from lengthen.common.method.ids import row_random
from lengthen.common.method.selection import duplicates
from lengthen.common.process.errors import UserError
from lengthen.common.store.reader import Dataset
from lengthen.common.text.digest import text_digest
from lengthen.common.text.rejection import Rejection


def excluded_rows(datasets: list[Dataset], config: Config, benchmarks: BenchmarkIndex, grades: dict[str, float]) -> dict[str, Rejection]:
    """The rows that the release does not contain: id -> reason, with the figure that decided it.

    Args:
        datasets: responses and expansions; of two near duplicates the one in the earlier dataset of the list is kept.
        benchmarks: the prompts to decontaminate against.
        grades: a judge's mean grade, by id, of the rows that have one.

    Raises:
        UserError: two datasets have a row with the same id.
    """
    answers = [answer for dataset in datasets for answer in read_answers(dataset)]
    if repeated := [name for name, count in Counter(answer.id for answer in answers).items() if count > 1]:
        raise UserError(f"row {repeated[0]} is in two --input datasets; give only one of them")
    excluded: dict[str, Rejection] = {}
    for dataset in datasets:
        excluded |= not_selected(dataset, config)

    def remaining() -> list[Answer]:
        return [answer for answer in answers if answer.id not in excluded]

    max_similarity = config.release.max_similarity
    excluded |= _unusable(remaining(), config, benchmarks, grades)
    excluded |= _duplicate_instructions(remaining(), max_similarity)
    excluded |= _duplicate_answers(datasets, {answer.id for answer in remaining()}, max_similarity)
    excluded |= _above_answer_limit(remaining(), config.release)
    return excluded


def held_out(instructions: Iterable[str], share: float, seed: int) -> set[str]:
    """The instructions of the test split: a share of them, at least one, and never all.

    Each instruction has its own random draw, so a later release holds out the same ones. The exception: when no draw is
    below `share`, one instruction is held out anyway, and a later release may hold out another one.

    Args:
        instructions: as keys, see `instruction_key`.
        share: of the instructions, in (0, 1).
        seed: the run's.
    """
    draws = sorted((row_random(seed, name, "test").random(), name) for name in set(instructions))
    count = min(max(1, sum(draw < share for draw, _ in draws)), len(draws) - 1)
    return {name for _, name in draws[:count]}


def instruction_key(instruction: str) -> str:
    """Equal for instructions that differ only in case and white space: they belong to one split, whatever their ids."""
    return text_digest(" ".join(instruction.split()).casefold())


def _unusable(answers: list[Answer], config: Config, benchmarks: BenchmarkIndex, grades: dict[str, float]) -> dict[str, Rejection]:
    found = {answer.id: _rejection(answer, config, benchmarks, grades.get(answer.id)) for answer in answers}
    return {name: rejection for name, rejection in found.items() if rejection}


def _rejection(answer: Answer, config: Config, benchmarks: BenchmarkIndex, grade: float | None) -> Rejection | None:
    """Why an answer can't be used, independent of the other answers."""
    settings, limit = config.release, config.augment.max_benchmark_overlap
    if answer.words < settings.min_words:
        return Rejection("too_short", f"{answer.words} words < {settings.min_words}")
    if grade is not None and grade < settings.min_quality:
        return Rejection("low_quality", f"{grade:.1f} < {settings.min_quality}")
    near = benchmarks.nearest(answer.instruction)
    if near and near.share > limit:
        return Rejection("contaminated", f"{near.share:.2f} > {limit}, {near.prompt}")
    return _false_own_demand(answer)


def _false_own_demand(answer: Answer) -> Rejection | None:
    """None if the instruction has no length demand, or one that the answer meets: then it gets no second one."""
    found = read_demands(answer.instruction, answer.language)
    if not found or (len(found) == 1 and (own := found[0].demand) and own.lower <= answer.words <= own.upper):
        return None
    texts = ", ".join(answer.instruction[demand.start : demand.end] for demand in found)
    return Rejection("own_demand", f"the instruction asks for {texts}, the answer has {answer.words} words")


def _duplicate_instructions(answers: list[Answer], max_similarity: float) -> dict[str, Rejection]:
    """Answers to an instruction with a near duplicate: otherwise the train and test splits could share it."""
    if max_similarity == 1:
        return {}
    texts = {answer.instruction_id: answer.instruction for answer in answers}
    found = duplicates(sorted(texts.items()), max_similarity)
    return {
        answer.id: found[answer.instruction_id]._replace(detail=f"its instruction: {found[answer.instruction_id].detail}")
        for answer in answers
        if answer.instruction_id in found
    }


def _duplicate_answers(datasets: list[Dataset], remaining: set[str], max_similarity: float) -> dict[str, Rejection]:
    if max_similarity == 1:
        return {}
    texts = ((row["id"], row[text]) for dataset in datasets for text in [text_column(dataset)] for row in dataset.rows([text]))
    return duplicates(((name, text) for name, text in texts if name in remaining), max_similarity)


def _above_answer_limit(answers: list[Answer], settings: Release) -> dict[str, Rejection]:
    """Only the longest answers to an instruction are used, at most `release.answers`."""
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer.instruction_id].append(answer)
    excluded: dict[str, Rejection] = {}
    for group in groups.values():
        for answer in sorted(group, key=lambda answer: (-answer.words, answer.id))[settings.answers :]:
            detail = f"{answer.words} words; the release has {settings.answers} other answers to its instruction"
            excluded[answer.id] = Rejection("selected_out", detail)
    return excluded
