"""Shards: the rows of one process, shared out among them."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from conftest import instruction_row, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lengthen.common.config import Config
from lengthen.common.job import Job
from lengthen.common.rows import count_works, works_of
from lengthen.common.settings import Model
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.shard import Shard
from lengthen.common.tables import INSTRUCTIONS

numbers = count()


@settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 12), samples=st.integers(1, 3), shards=st.integers(1, 7))
def test_shards_share_out_the_rows_of_one_process_among_them(tmp_path: Path, rows: int, samples: int, shards: int) -> None:
    folder = write(tmp_path / str(next(numbers)), INSTRUCTIONS, [instruction_row(n, f"Write essay {n}.") for n in range(rows)])
    dataset = open_dataset(folder, INSTRUCTIONS)

    def works(shard: Shard | None) -> list[tuple[Any, ...]]:
        job = Job("generate", Config(model=Model(path=Path("none"))), Path("out"), 1, "echo", shard=shard)
        found = [(work.id, work.parent_id, work.sample) for work in works_of(job, dataset, samples)]
        assert len(found) == count_works(job, dataset, samples)
        return found

    whole = works(None)
    assert len(whole) == rows * samples
    assert sorted(work for index in range(shards) for work in works(Shard(index, shards))) == sorted(whole)
