"""Growing the pool in waves: the result does not depend on the order in which requests return.

A wave is the first `augment.wave` open slots. Each makes one attempt, with examples drawn from the pool as it was at the start
of the wave. Then the proposals are checked in the order of the slots. Accepted instructions join the pool for the next wave;
slots without one stay open, so they are the first ones of the next wave.

The slots are divided evenly among the languages, and within a language among the categories of the seeds. The examples of
a slot come from its category, and what it accepts gets the same category: a model continues a list with items of its kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from lengthen.augment.contamination import BenchmarkIndex
from lengthen.augment.own_demand import demands_length
from lengthen.augment.pool import Pool
from lengthen.augment.propose import InstructionPrompts, Proposal, propose, suitability
from lengthen.augment.seeding import Example
from lengthen.common.engine.recorded import RecordedEngine
from lengthen.common.method.ids import attempt_seed, row_id, row_random
from lengthen.common.stage.job import Job
from lengthen.common.stage.tasks import Task
from lengthen.common.text.digest import text_digest
from lengthen.common.text.rejection import Rejection

Result = TypeVar("Result")
Record = Callable[["Slot", dict[str, Any] | Rejection], None]


@dataclass
class Slot:
    """One row of the output, filled by at most `augment.attempts` attempts."""

    task: Task[str]  # the source is the language
    category: str
    attempts: int = 0
    tokens: int = 0


def make_slots(job: Job, count: int, categories: dict[str, list[str]], purpose: str = "slot") -> list[Slot]:
    """The slots of an iteration, divided evenly among the languages and each language's categories.

    `purpose` is part of the ids, and so of the seeds: the release has another one than an iteration.
    """
    languages = job.config.languages
    slots = []
    for number in range(count):
        turn, at = divmod(number, len(languages))
        language = languages[at]
        task = Task(row_id("augment", job.iteration, purpose, number), "", number, str(language))
        slots.append(Slot(task, categories[language][turn % len(categories[language])]))
    return slots


class Grower:
    """Makes waves of attempts: propose, reject benchmark prompts, length demands and duplicates, judge."""

    def __init__(
        self,
        job: Job,
        engine: RecordedEngine,
        pool: Pool,
        benchmarks: BenchmarkIndex,
        prompts: dict[str, InstructionPrompts],
    ) -> None:
        self.job, self.engine, self.pool, self.benchmarks, self.prompts = job, engine, pool, benchmarks, prompts
        self.settings = job.config.augment
        self._requests = asyncio.Semaphore(job.config.engine.rows_in_flight)

    async def grow(self, slots: list[Slot], record: Record) -> None:
        """Make attempts until no slot is open. `record` is called for each finished slot."""
        size = self.settings.wave
        while slots:
            slots = await self._wave(slots[:size], record) + slots[size:]

    async def _wave(self, slots: list[Slot], record: Record) -> list[Slot]:
        """Make one attempt for each slot. Returns those that stay open. Both, and the calls of `record`, in the order of the slots."""
        proposals = await asyncio.gather(*(self._limited(self._propose(slot)) for slot in slots))
        unique = [self._reject_unusable(slot, proposal) for slot, proposal in zip(slots, proposals, strict=True)]
        judged = await asyncio.gather(*(self._limited(self._judge(slot, proposal)) for slot, proposal in zip(slots, unique, strict=True)))
        still_open = []
        for slot, (proposal, score) in zip(slots, judged, strict=True):
            outcome = self._outcome(slot, proposal, score)
            if outcome is None:
                still_open.append(slot)
            else:
                record(slot, outcome)
        return still_open

    async def _propose(self, slot: Slot) -> Proposal:
        slot.attempts += 1
        rng = row_random(self.job.config.seed, slot.task.id, f"examples {slot.attempts}")
        examples = self.pool.sample(slot.task.source, slot.category, self.settings.examples, rng)
        sampling = self.job.sampling(self.settings.sampling, slot.task.id, slot.attempts)
        engine = self.engine.row(slot.task.id)
        return await propose(engine, slot.attempts, self.prompts[slot.task.source], examples, sampling, self.settings)

    def _reject_unusable(self, slot: Slot, proposal: Proposal) -> Proposal:
        """The proposal, rejected if it cannot be used beside the others; otherwise later duplicates of it are found."""
        slot.tokens += proposal.tokens
        if rejection := proposal.rejection or self._unusable(proposal.instruction, slot.task.source):
            return replace(proposal, rejection=rejection)
        self.pool.add_known(self._example(slot, proposal))
        return proposal

    def _unusable(self, instruction: str, language: str) -> Rejection | None:
        """Why an instruction is not accepted: it is a benchmark prompt, demands a length, or repeats another one."""
        near, limit = self.benchmarks.nearest(instruction), self.settings.max_benchmark_overlap
        if near and near.share > limit:
            return Rejection("contaminated", f"{near.share:.2f} > {limit}, {near.prompt}")
        if demand := demands_length(instruction, language):
            return Rejection("own_demand", demand)
        if duplicate := self.pool.nearest(instruction):
            return Rejection("duplicate", f"{duplicate[1]:.2f} > {self.settings.max_similarity}, {duplicate[0]}")
        return None

    async def _judge(self, slot: Slot, proposal: Proposal) -> tuple[Proposal, float]:
        if proposal.rejection:
            return proposal, 0.0
        score = await suitability(self.engine.row(slot.task.id), slot.attempts, self.prompts[slot.task.source], proposal.instruction)
        if score >= self.settings.min_suitability:
            return proposal, score
        return replace(proposal, rejection=Rejection("unsuitable", f"{score:.3f} < {self.settings.min_suitability}")), score

    def _outcome(self, slot: Slot, proposal: Proposal, score: float) -> dict[str, Any] | Rejection | None:
        """The row of an accepted proposal, the rejection after the last attempt, None if the slot stays open."""
        if proposal.rejection is None:
            if self.settings.grow_pool:
                self.pool.add_example(self._example(slot, proposal))
            return self._row(slot, proposal, score)
        if slot.attempts < self.settings.attempts:
            return None
        return proposal.rejection._replace(text=proposal.instruction, attempts=slot.attempts, tokens=slot.tokens)

    def _example(self, slot: Slot, proposal: Proposal) -> Example:
        return Example(slot.task.id, slot.task.source, slot.category, proposal.instruction)

    def _row(self, slot: Slot, proposal: Proposal, score: float) -> dict[str, Any]:
        return {
            "instruction": proposal.instruction,
            "language": slot.task.source,
            "category": slot.category,
            "source": "self_instruct",
            "parents": list(proposal.parents),
            "suitability": score,
            "attempts": slot.attempts,
            "tokens": slot.tokens,
            "digest": text_digest(proposal.instruction),
            "seed": attempt_seed(self.job.config.seed, slot.task.id, slot.attempts),
            "iteration": self.job.iteration,
            "model": self.job.model.name,
        }

    async def _limited(self, work: Awaitable[Result]) -> Result:
        async with self._requests:
            return await work
