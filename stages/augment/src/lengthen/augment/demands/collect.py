"""Which answers make up a release: a pure function of the datasets and the settings. Everything left out has its reason."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from lengthen.augment.contamination import Contamination
from lengthen.augment.demands.answers import Facts, facts, text_column, unselected
from lengthen.augment.demands.reading import read
from lengthen.common.config import Config
from lengthen.common.errors import UserError
from lengthen.common.ids import row_random, text_digest
from lengthen.common.selection import duplicates
from lengthen.common.settings import Release
from lengthen.common.store.reader import Dataset
from lengthen.common.text.check import Refusal

_BINS_A_DOUBLING = 4  # "balanced" evens out lengths in bins, each 19 % longer than the one before


def uncollected(datasets: list[Dataset], config: Config, benchmarks: Contamination, grades: dict[str, float]) -> dict[str, Refusal]:
    """The rows that don't come into the release: id -> why, with the figure that decided it.

    Args:
        datasets: responses and expansions; of two like answers the one in the earlier dataset of the list stays.
        grades: a judge's mean grade, by id, of the rows that have one.

    Raises:
        UserError: a row stands in two datasets.
    """
    answers = [found for dataset in datasets for found in facts(dataset)]
    if twice := [name for name, count in Counter(answer.id for answer in answers).items() if count > 1]:
        raise UserError(f"row {twice[0]} stands in two inputs; give one of them")
    out: dict[str, Refusal] = {}
    for dataset in datasets:
        out |= unselected(dataset, config)

    def take_out(found: Iterable[tuple[str, Refusal]]) -> None:
        out.update(dict(found))

    def left() -> list[Facts]:
        return [answer for answer in answers if answer.id not in out]

    take_out(_unfit(left(), config, benchmarks, grades))
    take_out(_like_instructions(left(), config.release.max_similarity))
    take_out(_like_answers(datasets, {answer.id for answer in left()}, config.release.max_similarity))
    take_out(_beyond(left(), config.release))
    return out


def held_out(instructions: Iterable[str], share: float, seed: int) -> set[str]:
    """The instructions whose rows are the test split: a share of them, at least one, and never all.

    Args:
        instructions: as `same_text` knows them.

    By each one's own draw, so that a release of one more iteration keeps what an earlier one held out. Only where the share gives
    none, and one is taken all the same, that may be another one then.
    """
    draws = sorted((row_random(seed, name, "test").random(), name) for name in set(instructions))
    count = min(max(1, sum(draw < share for draw, _ in draws)), len(draws) - 1)
    return {name for _, name in draws[:count]}


def same_text(instruction: str) -> str:
    """The same for instructions that differ in case and white space only: they are on one side, whatever their ids."""
    return text_digest(" ".join(instruction.split()).casefold())


def _unfit(answers: list[Facts], config: Config, benchmarks: Contamination, grades: dict[str, float]) -> Iterator[tuple[str, Refusal]]:
    settings, limit = config.release, config.augment.max_benchmark_overlap
    for answer in answers:
        near, grade = benchmarks.nearest(answer.instruction), grades.get(answer.id)
        if answer.words < settings.min_words:
            yield answer.id, Refusal("too_short", f"{answer.words} words < {settings.min_words}")
        elif grade is not None and grade < settings.min_quality:
            yield answer.id, Refusal("low_quality", f"{grade:.1f} < {settings.min_quality}")
        elif near and near.share > limit:
            yield answer.id, Refusal("contaminated", f"{near.share:.2f} > {limit}, {near.prompt}")
        elif own := _own_demand(answer):
            yield answer.id, own


def _own_demand(answer: Facts) -> Refusal | None:
    """An instruction that asks for a length already keeps its demand if it is true, and gets no second one."""
    found = read(answer.instruction, answer.language)
    if not found or (len(found) == 1 and (own := found[0].demand) and own.lower <= answer.words <= own.upper):
        return None
    said = ", ".join(answer.instruction[reading.start : reading.end] for reading in found)
    return Refusal("own_demand", f"the instruction asks for {said}, the answer has {answer.words} words")


def _like_instructions(answers: list[Facts], max_similarity: float) -> Iterator[tuple[str, Refusal]]:
    """Answers to an instruction that says what another one does: else training and test could share it."""
    if max_similarity == 1:
        return
    texts = {answer.instruction_id: answer.instruction for answer in answers}
    twins = {name: (twin, share) for name, twin, share in duplicates(sorted(texts.items()), max_similarity)}
    for answer in answers:
        if answer.instruction_id in twins:
            twin, share = twins[answer.instruction_id]
            yield answer.id, Refusal("duplicate", f"its instruction: {share:.2f} > {max_similarity}, {twin}")


def _like_answers(datasets: list[Dataset], left: set[str], max_similarity: float) -> Iterator[tuple[str, Refusal]]:
    if max_similarity == 1:
        return
    texts = ((row["id"], row[text]) for dataset in datasets for text in [text_column(dataset)] for row in dataset.rows([text]))
    for name, twin, share in duplicates(((name, text) for name, text in texts if name in left), max_similarity):
        yield name, Refusal("duplicate", f"{share:.2f} > {max_similarity}, {twin}")


def _beyond(answers: list[Facts], settings: Release) -> Iterator[tuple[str, Refusal]]:
    """More answers to an instruction than are wanted of one."""
    groups: dict[str, list[Facts]] = defaultdict(list)
    for answer in answers:
        groups[answer.instruction_id].append(answer)
    seen: Counter[int] = Counter()
    for _, group in sorted(groups.items()):
        rest = sorted(group, key=lambda answer: (-answer.words, answer.id))
        for _ in range(min(settings.answers, len(rest))):
            best = min(rest, key=lambda answer: seen[_bin(answer)]) if settings.prefer == "balanced" else rest[0]
            seen[_bin(best)] += 1
            rest.remove(best)
        for answer in rest:
            yield answer.id, Refusal("selected_out", f"{answer.words} words; {settings.answers} others of its instruction are in")


def _bin(answer: Facts) -> int:
    return int(_BINS_A_DOUBLING * math.log2(answer.words))
