"""Growing the pool in waves: the result doesn't depend on which request returned first.

In a wave every open slot makes one attempt, with examples drawn from the pool as it stood when the wave began; then the
proposals are looked at in the order of the slots. What is accepted joins the pool for the next wave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from lengthen.augment.pool import Pool
from lengthen.augment.propose import Proposal, propose, suitability
from lengthen.augment.seeding import Example
from lengthen.common.engine.protocol import Engine
from lengthen.common.ids import attempt_seed, row_id, row_random, text_digest
from lengthen.common.job import Job
from lengthen.common.promptfile import PromptFile
from lengthen.common.rows import Rejection, Work
from lengthen.common.store.calls import Calls
from lengthen.common.text.check import Refusal

Result = TypeVar("Result")


@dataclass
class Slot:
    """A place for one new instruction."""

    work: Work[str]  # the source is the language
    attempts: int = 0
    tokens: int = 0
    last: Proposal | None = None


def slots(job: Job, count: int) -> list[Slot]:
    """The slots of an iteration, dealt evenly to the languages."""
    languages = job.config.languages
    works = [Work(row_id("augment", job.iteration, "slot", n), "", n, str(languages[n % len(languages)])) for n in range(count)]
    return [Slot(work) for work in works]


class Grower:
    """Runs waves until no slot is open. `record` takes each slot's row or rejection, in a fixed order."""

    def __init__(
        self,
        job: Job,
        engine: Engine,
        calls: Calls,
        pool: Pool,
        prompts: dict[str, PromptFile],
        record: Callable[[Slot, dict[str, Any] | Rejection], None],
    ) -> None:
        self.job, self.engine, self.calls, self.pool, self.prompts, self.record = job, engine, calls, pool, prompts, record
        self.settings = job.config.augment
        self.at_once = asyncio.Semaphore(job.config.engine.rows_in_flight)

    async def wave(self, open_slots: list[Slot]) -> list[Slot]:
        """One attempt for each open slot. Returns the slots that stay open."""
        proposals = await asyncio.gather(*(self._limited(self._propose(slot)) for slot in open_slots))
        fresh = [self._unless_duplicate(slot, proposal) for slot, proposal in zip(open_slots, proposals, strict=True)]
        judged = await asyncio.gather(
            *(self._limited(self._judge(slot, proposal)) for slot, proposal in zip(open_slots, fresh, strict=True))
        )
        return [slot for slot, (proposal, score) in zip(open_slots, judged, strict=True) if not self._settle(slot, proposal, score)]

    async def _propose(self, slot: Slot) -> Proposal:
        slot.attempts += 1
        name = f"examples {slot.attempts}"
        choice = [example for example in self.pool.examples if example.language == slot.work.source]
        examples = row_random(self.job.config.seed, slot.work.id, name).sample(choice, min(self.settings.examples, len(choice)))
        sampling = self.job.sampling(self.settings.sampling, slot.work.id, slot.attempts)
        calls, prompt = self.calls.of(self.engine, slot.work.id), self.prompts[f"propose.{slot.work.source}"]
        return await propose(calls, slot.attempts, prompt, examples, sampling, self.settings)

    def _unless_duplicate(self, slot: Slot, proposal: Proposal) -> Proposal:
        slot.tokens += proposal.tokens
        if proposal.refused:
            return proposal
        if twin := self.pool.duplicate(proposal.instruction):
            refused = Refusal("duplicate", f"of {twin}")
            return Proposal(proposal.instruction, proposal.parents, proposal.tokens, refused)
        self.pool.remember(Example(slot.work.id, slot.work.source, proposal.instruction))
        return proposal

    async def _judge(self, slot: Slot, proposal: Proposal) -> tuple[Proposal, float]:
        if proposal.refused:
            return proposal, 0.0
        calls, prompt = self.calls.of(self.engine, slot.work.id), self.prompts[f"judge.{slot.work.source}"]
        score = await suitability(calls, slot.attempts, prompt, proposal.instruction)
        if score >= self.settings.min_suitability:
            return proposal, score
        refused = Refusal("unsuitable", f"{score:.3f} < {self.settings.min_suitability}")
        return Proposal(proposal.instruction, proposal.parents, proposal.tokens, refused), score

    def _settle(self, slot: Slot, proposal: Proposal, score: float) -> bool:
        """Record a slot that is done: filled, or out of attempts."""
        if proposal.refused is None:
            if self.settings.grow_pool:
                self.pool.examples.append(Example(slot.work.id, slot.work.source, proposal.instruction))
            self.record(slot, self._row(slot, proposal, score))
            return True
        if slot.attempts < self.settings.attempts:
            return False
        why = proposal.refused
        self.record(slot, Rejection(why.reason, why.detail, proposal.instruction, slot.attempts, slot.tokens))
        return True

    def _row(self, slot: Slot, proposal: Proposal, score: float) -> dict[str, Any]:
        return {
            "instruction": proposal.instruction,
            "language": slot.work.source,
            "source": "self_instruct",
            "parents": list(proposal.parents),
            "suitability": score,
            "digest": text_digest(proposal.instruction),
            "seed": attempt_seed(self.job.config.seed, slot.work.id, slot.attempts),
        }

    async def _limited(self, work: Awaitable[Result]) -> Result:
        async with self.at_once:
            return await work
