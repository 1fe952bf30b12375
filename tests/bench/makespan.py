"""How long a stage takes against the least time possible, at the paper's proportions, in simulated time: `make bench`.

    bound      the tokens of all needed attempts / the places of the engine: no order of the attempts is faster
    makespan   the time until the last row is decided, divided by the bound
    ahead      the tokens of unneeded attempts, as a share of the needed ones

The rows are made by the stages' own functions, and each place of the echo engine generates a token in a time unit. The clock is
virtual: it jumps to the next event. Beyond the engine's places, requests wait, as in vLLM.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from conftest import instruction_row, response_row
from lengthen.common.config.engine import Model
from lengthen.common.config.load import Config
from lengthen.common.engine.attempts import Attempts
from lengthen.common.engine.echo import EchoEngine
from lengthen.common.engine.protocol import Completion, Prompt, SamplingParameters, WatchFunction
from lengthen.common.engine.recorded import RecordedEngine
from lengthen.common.method.ids import row_id
from lengthen.common.model.adapter import Adapter
from lengthen.common.stage.job import Job
from lengthen.common.stage.rows import Make, make_rows
from lengthen.common.stage.tasks import Task
from lengthen.common.store.commit import Outcome
from lengthen.common.store.manifest import Manifest
from lengthen.common.store.origin import Origin
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import EXPANSIONS, RESPONSES
from lengthen.expand.lengthen import lengthen
from lengthen.expand.order import longest_first
from lengthen.generate.answer import answer

TOKEN_SECONDS = 0.001  # longer ones would make thousands of the checks that are due each second
PIECES = 8  # of a text, in its stream: how finely a request can be aborted
SHARED = {"check": {"min_words": 10}, "store": {"flush_seconds": 1e6}}
# A third of all attempts is accepted: in generate when the text is complete, in expand when one of three rounds is.
CUT_SHARES = {"generate": 0.7, "expand": 0.89}


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when nothing else is to be done."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


class TimedEcho(EchoEngine):
    """The echo engine with a limited number of places, each of which generates a token in TOKEN_SECONDS.

    `generated` counts them, and `waited` the requests that found no free place.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.places = asyncio.Semaphore(config.engine.max_num_seqs)
        self.generated = self.waited = 0

    async def complete(
        self, prompt: Prompt, sampling: SamplingParameters, *, adapter: Adapter | None = None, watch: WatchFunction | None = None
    ) -> Completion:
        self.waited += self.places.locked()
        async with self.places:
            whole = await super().complete(prompt, sampling, adapter=adapter)
            words = re.findall(r"\S+\s*", whole.text)
            size = max(1, len(words) // PIECES)
            for start in range(0, len(words), size):
                piece = words[start : start + size]
                await asyncio.sleep(len(piece) * TOKEN_SECONDS)
                self.generated += len(piece)
                if watch and (reason := watch("".join(piece))):
                    return Completion("".join(words[: start + size]), min(start + size, len(words)), reason)
            return whole


class Simulation(NamedTuple):
    manifest: Manifest
    seconds: float
    places: int

    @property
    def makespan(self) -> float:
        return self.seconds / TOKEN_SECONDS * self.places / self.manifest.tokens


def config_of(stage: str, places: int, ahead: bool, attempts: int = 20) -> Config:
    engine = {"rows_in_flight": places, "max_num_seqs": places, "attempts_ahead": ahead}
    echo = {"words": 40, "growth": 0.2, "cut_share": CUT_SHARES[stage]}
    return Config(model=Model(path=Path("none")), **SHARED, engine=engine, echo=echo, **{stage: {"attempts": attempts}})


def simulate(stage: str, folder: Path, rows: int, config: Config, engine_of: Callable[[Config], EchoEngine] = TimedEcho) -> Simulation:
    """Make the rows of a stage, or those that earlier runs have left, and commit them. `seconds` are of this run."""
    job = Job(stage, config, folder, 1, "echo")
    table, make, source = (RESPONSES, answer, _instruction) if stage == "generate" else (EXPANSIONS, lengthen, _response)
    sources = [source(number) for number in range(rows)]
    tasks = [Task(row_id(stage, 1, row["id"], 0), row["id"], 0, row) for row in sources]
    todo = longest_first(tasks, lambda row: row.get("words", 0), 16 * config.engine.rows_in_flight)
    places = config.engine.max_num_seqs

    async def run(writer: DatasetWriter, make: Make[Any]) -> float:
        engine = RecordedEngine(engine_of(config), writer.calls, attempts=Attempts(places if config.engine.attempts_ahead else 0))
        await make_rows(job, engine, writer, todo, rows, make)
        return asyncio.get_running_loop().time()

    with DatasetWriter(folder, table, Origin({"stage": stage}), config.store) as writer:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            seconds = runner.run(run(writer, partial(make, job)))
        return Simulation(writer.commit(Outcome(rows)), seconds, places)


def _instruction(number: int) -> dict[str, Any]:
    return instruction_row(number, f"Write an essay about subject {number}.")


def _response(number: int) -> dict[str, Any]:
    return response_row(number, " ".join(f"Word{number * n} follows word{number + n} here." for n in range(5 + number % 10)))


def main() -> None:
    print(f"{'stage':<10} {'rows':>6} {'places':>7} {'ahead':>6} {'bound':>8} {'makespan':>9} {'tokens ahead':>13}")
    for stage, rows, places in (("generate", 5000, 256), ("expand", 1000, 51)):
        digests = set()
        for ahead in (False, True):
            with TemporaryDirectory() as folder:
                found = simulate(stage, Path(folder) / "d", rows, config_of(stage, places, ahead))
            digests.add(found.manifest.content_digest)
            tokens, extra = found.manifest.tokens, found.manifest.timings["tokens_ahead"]
            print(f"{stage:<10} {rows:>6} {places:>7} {'yes' if ahead else 'no':>6} ", end="")
            print(f"{tokens / places:>8,.0f} {found.makespan:>9.3f} {extra / tokens:>13.1%}")
        assert len(digests) == 1, "the rows differ"


if __name__ == "__main__":
    main()
