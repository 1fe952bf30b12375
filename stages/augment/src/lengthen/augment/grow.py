"""Growing the pool in waves: the result doesn't depend on which request returned first.

In a wave every open slot makes one attempt, with examples drawn from the pool as it stood when the wave began; then the
proposals are looked at in the order of the slots. What is accepted joins the pool for the next wave.

Slots are dealt evenly to the languages, and in each language to the seeds' categories. A slot is shown examples of its own
category, and what it accepts is taken to be of that category too: models continue a list in its own kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from lengthen.augment.contamination import Contamination
from lengthen.augment.pool import Pool
from lengthen.augment.propose import Asking, Proposal, propose, suitability
from lengthen.augment.seeding import Example
from lengthen.common.engine.protocol import Engine
from lengthen.common.ids import attempt_seed, row_id, row_random, text_digest
from lengthen.common.job import Job
from lengthen.common.rows import Rejection, Work
from lengthen.common.store.calls import Calls
from lengthen.common.text.check import Refusal

Result = TypeVar("Result")
Record = Callable[["Slot", dict[str, Any] | Rejection], None]


@dataclass
class Slot:
    """A place for one new instruction."""

    work: Work[str]  # the source is the language
    category: str
    attempts: int = 0
    tokens: int = 0


def slots(job: Job, count: int, categories: dict[str, list[str]], purpose: str = "slot") -> list[Slot]:
    """The slots of an iteration, dealt evenly to the languages and to each language's categories.

    Another purpose than an iteration's own gives other ids, and so other seeds.
    """
    languages = job.config.languages
    found = []
    for number in range(count):
        turn, at = divmod(number, len(languages))
        language = languages[at]
        work = Work(row_id("augment", job.iteration, purpose, number), "", number, str(language))
        found.append(Slot(work, categories[language][turn % len(categories[language])]))
    return found


class Grower:
    """Runs waves until no slot is open."""

    def __init__(
        self,
        job: Job,
        engine: Engine,
        calls: Calls,
        pool: Pool,
        benchmarks: Contamination,
        asking: dict[str, Asking],
    ) -> None:
        self.job, self.engine, self.calls, self.pool, self.benchmarks = job, engine, calls, pool, benchmarks
        self.asking = asking
        self.settings = job.config.augment
        self.at_once = asyncio.Semaphore(job.config.engine.rows_in_flight)

    async def wave(self, open_slots: list[Slot], record: Record) -> list[Slot]:
        """One attempt for each open slot. `record` takes what is done, in the order of the slots. Returns those that stay open."""
        proposals = await asyncio.gather(*(self._limited(self._propose(slot)) for slot in open_slots))
        fresh = [self._unless_known(slot, proposal) for slot, proposal in zip(open_slots, proposals, strict=True)]
        judged = await asyncio.gather(
            *(self._limited(self._judge(slot, proposal)) for slot, proposal in zip(open_slots, fresh, strict=True))
        )
        still_open = []
        for slot, (proposal, score) in zip(open_slots, judged, strict=True):
            outcome = self._settle(slot, proposal, score)
            if outcome is None:
                still_open.append(slot)
            else:
                record(slot, outcome)
        return still_open

    async def _propose(self, slot: Slot) -> Proposal:
        slot.attempts += 1
        dice = row_random(self.job.config.seed, slot.work.id, f"examples {slot.attempts}")
        examples = self.pool.draw(slot.work.source, slot.category, self.settings.examples, dice)
        sampling = self.job.sampling(self.settings.sampling, slot.work.id, slot.attempts)
        calls = self.calls.of(self.engine, slot.work.id)
        return await propose(calls, slot.attempts, self.asking[slot.work.source], examples, sampling, self.settings)

    def _unless_known(self, slot: Slot, proposal: Proposal) -> Proposal:
        slot.tokens += proposal.tokens
        if proposal.refused:
            return proposal
        near, limit = self.benchmarks.nearest(proposal.instruction), self.settings.max_benchmark_overlap
        if near and near.share > limit:
            return replace(proposal, refused=Refusal("contaminated", f"{near.share:.2f} > {limit}, {near.prompt}"))
        if twin := self.pool.duplicate(proposal.instruction):
            return replace(proposal, refused=Refusal("duplicate", f"{twin[1]:.2f} > {self.settings.max_similarity}, {twin[0]}"))
        self.pool.remember(self._example(slot, proposal))
        return proposal

    async def _judge(self, slot: Slot, proposal: Proposal) -> tuple[Proposal, float]:
        if proposal.refused:
            return proposal, 0.0
        calls = self.calls.of(self.engine, slot.work.id)
        score = await suitability(calls, slot.attempts, self.asking[slot.work.source], proposal.instruction)
        if score >= self.settings.min_suitability:
            return proposal, score
        return replace(proposal, refused=Refusal("unsuitable", f"{score:.3f} < {self.settings.min_suitability}")), score

    def _settle(self, slot: Slot, proposal: Proposal, score: float) -> dict[str, Any] | Rejection | None:
        """The row of a slot that is filled, the rejection of one out of attempts, None for one that stays open."""
        if proposal.refused is None:
            if self.settings.grow_pool:
                self.pool.show(self._example(slot, proposal))
            return self._row(slot, proposal, score)
        if slot.attempts < self.settings.attempts:
            return None
        why = proposal.refused
        return Rejection(why.reason, why.detail, proposal.instruction, slot.attempts, slot.tokens)

    def _example(self, slot: Slot, proposal: Proposal) -> Example:
        return Example(slot.work.id, slot.work.source, slot.category, proposal.instruction)

    def _row(self, slot: Slot, proposal: Proposal, score: float) -> dict[str, Any]:
        return {
            "instruction": proposal.instruction,
            "language": slot.work.source,
            "category": slot.category,
            "source": "self_instruct",
            "parents": list(proposal.parents),
            "suitability": score,
            "digest": text_digest(proposal.instruction),
            "seed": attempt_seed(self.job.config.seed, slot.work.id, slot.attempts),
        }

    async def _limited(self, work: Awaitable[Result]) -> Result:
        async with self.at_once:
            return await work
