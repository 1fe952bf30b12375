"""Shards: together they have the rows of one process, and sealed they are the same dataset."""

from __future__ import annotations

from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import expansion_row, instruction_row, refused, succeed, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lengthen.common.config.engine import Model, Store
from lengthen.common.config.load import Config
from lengthen.common.dataset.stage_figures import stage_figures
from lengthen.common.process.errors import UserError
from lengthen.common.stage.job import Job
from lengthen.common.stage.tasks import count_tasks, tasks
from lengthen.common.store.commit import Outcome
from lengthen.common.store.manifest import read_manifest
from lengthen.common.store.origin import Origin
from lengthen.common.store.reader import open_dataset
from lengthen.common.store.shards import Shard, seal
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import EXPANSIONS, INSTRUCTIONS, RESPONSES
from lengthen.common.text.rejection import Rejection
from lengthen.expand.figures import FIGURES

numbers = count()


@settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 12), samples=st.integers(1, 3), shards=st.integers(1, 7))
def test_shards_divide_the_rows_of_one_process(tmp_path: Path, rows: int, samples: int, shards: int) -> None:
    folder = write(tmp_path / str(next(numbers)), INSTRUCTIONS, [instruction_row(n, f"Write essay {n}.") for n in range(rows)])
    dataset = open_dataset(folder, INSTRUCTIONS)

    def task_ids(shard: Shard | None) -> list[tuple[Any, ...]]:
        job = Job("generate", Config(model=Model(path=Path("none"))), Path("out"), 1, "echo", shard=shard)
        found = [(task.id, task.parent_id, task.sample) for task in tasks(job, dataset, samples)]
        assert len(found) == count_tasks(job, dataset, samples)
        return found

    whole = task_ids(None)
    assert len(whole) == rows * samples
    assert sorted(task for index in range(shards) for task in task_ids(Shard(index, shards))) == sorted(whole)


@pytest.fixture(scope="module")
def unsharded(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """Instructions, and datasets made from them without shards."""
    folder = tmp_path_factory.mktemp("shards")
    echo = {"words": 40, "loop_share": 0.2, "cut_share": 0.1}
    tiny.write_config(folder / "config.yaml", model, echo=echo, generate={"responses": 3, "attempts": 1}, expand={"attempts": 2})
    write(folder / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write an essay about the year {1900 + n}.") for n in range(20)])
    for stage in STAGES:
        succeed(stage, *command(folder, stage, folder))
    return folder


STAGES = {"generate": ("instructions", "responses"), "expand": ("responses", "expansions"), "evaluate": ("", "scores")}


def command(folder: Path, stage: str, output: Path) -> list[object]:
    source, target = STAGES[stage]
    given = ["--input", folder / source] if source else []
    return ["--config", folder / "config.yaml", "--engine", "echo", *given, "--output", output / target]


@pytest.mark.parametrize("stage", STAGES)
def test_a_sealed_manifest_equals_that_of_an_unsharded_dataset(unsharded: Path, tmp_path: Path, stage: str) -> None:
    """In every key except times, host and layout: the figures are computed from the same rows by the same function."""
    target = STAGES[stage][1]
    for index in range(4):
        succeed(stage, *command(unsharded, stage, tmp_path), "--shard", f"{index}/4")
    sealed, whole = asdict(seal(tmp_path / target, stage_figures)), asdict(read_manifest(unsharded / target))  # type: ignore[arg-type]
    assert whole["summary"] and (stage == "evaluate" or whole["rejected"])
    for key in whole.keys() - {"timings", "environment", "parts", "rejected_parts"}:
        assert sealed[key] == whole[key], key
    assert {sealed["environment"][name] == value for name, value in whole["environment"].items() if name != "host"} == {True}
    for key in ("parts", "rejected_parts"):
        assert sum(part["rows"] for part in sealed[key]) == sum(part["rows"] for part in whole[key])


def test_a_sealed_mean_is_not_weighted_by_rows_without_a_value(tmp_path: Path) -> None:
    """Two shards: one row with the value 0.1 and nine rows without a value, and one row with the value 0.5."""
    rows = [expansion_row(n, "A short text.", "A text that is longer than the short one was.") for n in range(11)]
    rows[0]["kept_names"], rows[10]["kept_names"] = 0.1, 0.5
    shards = [Shard(index, 2) for index in range(2)]
    for number, row in enumerate(rows):  # ids of the first shard, except the last row's
        row["id"] = f"{2 * number + (number == 10):08x}" + "0" * 24
    for shard in [None, *shards]:
        mine = [row for row in rows if shard is None or shard.holds(row["id"])]
        origin = Origin({"stage": "expand"} | ({"shard": str(shard)} if shard else {}))
        folder = shard.folder(tmp_path / "sharded") if shard else tmp_path / "whole"
        with DatasetWriter(folder, EXPANSIONS, origin, Store()) as writer:
            for row in mine:
                writer.add(row)
            writer.commit(Outcome(len(mine), figures=FIGURES))
    whole = read_manifest(tmp_path / "whole")
    assert whole is not None and whole.summary["kept_names"] == pytest.approx(0.3)
    assert seal(tmp_path / "sharded", stage_figures).summary == whole.summary


def test_shards_of_an_unknown_stage_are_not_sealed(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "shard-0-of-1", INSTRUCTIONS, Origin({"stage": "../../evil", "shard": "0/1"}), Store()) as writer:
        writer.add(instruction_row(1, "Write an essay."))
        writer.commit(Outcome(1))
    with pytest.raises(UserError, match="can be sealed"):
        seal(tmp_path, stage_figures)


def written(tmp_path: Path, kept: int, rejected: int, allowed: float) -> Path:
    """Shard 0 of 2, all of whose rows are rejected, and shard 1 with `kept` rows."""
    for shard, good, bad in ((Shard(0, 2), 0, rejected), (Shard(1, 2), kept, 0)):
        origin = Origin({"stage": "expand", "shard": str(shard)}, rows_of_all=kept + rejected)
        with DatasetWriter(shard.folder(tmp_path), EXPANSIONS, origin, Store()) as writer:
            for number in range(good):
                writer.add(expansion_row(2 * number + shard.index, "A short text.", "A text that is longer."))
            for number in range(bad):
                writer.reject(f"{2 * number + shard.index:032x}", None, Rejection("loop", ""))
                writer.check_rejected_share(bad, allowed)
            writer.commit(Outcome(good + bad, allowed, FIGURES))
    return tmp_path


def test_a_shard_without_a_row_is_a_shard(tmp_path: Path, model: Path) -> None:
    """Three rows for eight shards; each shard exits with 0, and sealed they are the unsharded dataset."""
    tiny.write_config(tmp_path / "config.yaml", model, generate={"responses": 1})
    write(tmp_path / "instructions", INSTRUCTIONS, [instruction_row(n, f"Write an essay about the year {1900 + n}.") for n in range(3)])
    succeed("generate", *command(tmp_path, "generate", tmp_path))
    for index in range(8):
        succeed("generate", *command(tmp_path, "generate", tmp_path / "sharded"), "--shard", f"{index}/8")
    shards = [read_manifest(Shard(index, 8).folder(tmp_path / "sharded" / "responses")) for index in range(8)]
    assert sum(shard is not None and shard.rows_in == 0 and shard.parts == [] for shard in shards) >= 5
    sealed, whole = seal(tmp_path / "sharded" / "responses", stage_figures), read_manifest(tmp_path / "responses")
    assert whole is not None and (sealed.content_digest, sealed.summary) == (whole.content_digest, whole.summary)
    assert len(list(open_dataset(tmp_path / "sharded" / "responses", RESPONSES).rows())) == 3
    assert "already complete" in succeed("generate", *command(tmp_path, "generate", tmp_path / "sharded")).stderr


def test_a_shard_whose_rows_are_all_rejected_is_complete_if_few_of_all_rows_are(tmp_path: Path) -> None:
    sealed = seal(written(tmp_path, kept=8, rejected=2, allowed=0.2), stage_figures)
    assert (sealed.rows_in, sealed.rows_out, sealed.rejected, sealed.max_rejected_share) == (10, 8, {"loop": 2}, 0.2)


def test_a_shard_stops_when_it_alone_rejects_too_many_of_all_rows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"3 of 11 rows were rejected, more than the allowed share 0\.2 \(loop 3\)"):
        written(tmp_path, kept=8, rejected=3, allowed=0.2)


def test_too_many_rejected_rows_of_all_shards_are_refused_by_the_seal(tmp_path: Path) -> None:
    for index in range(2):
        shard, origin = Shard(index, 2), Origin({"stage": "expand", "shard": f"{index}/2"}, rows_of_all=8)
        with DatasetWriter(shard.folder(tmp_path), EXPANSIONS, origin, Store()) as writer:
            for number in range(3):
                writer.add(expansion_row(2 * number + index, "A short text.", "A text that is longer."))
            writer.reject(f"{6 + index:032x}", None, Rejection("loop" if index else "cut", ""))
            writer.commit(Outcome(4, 0.2, FIGURES))
    with pytest.raises(UserError, match=r"2 of 8 rows were rejected, .* 0\.2 \(cut 1, loop 1\); .* a higher --max-rejected-share"):
        seal(tmp_path, stage_figures)
    assert read_manifest(tmp_path) is None
    assert seal(tmp_path, stage_figures, 0.25).max_rejected_share == 0.25


def test_a_dataset_without_a_row_is_refused_by_the_seal(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no row is left of 3 \(loop 3\)"):
        seal(written(tmp_path, kept=0, rejected=3, allowed=1.0), stage_figures)


@pytest.mark.parametrize("stage", ["generate", "expand"])
def test_the_allowed_share_of_a_shard_is_of_the_rows_that_all_shards_have(unsharded: Path, tmp_path: Path, stage: str) -> None:
    """Every row is rejected: a shard stops at the first that is too many for all rows together, not for its own."""
    rows = read_manifest(unsharded / STAGES[stage][1]).rows_in  # type: ignore[union-attr]
    strict = ["--set", f"{stage}.max_rejected_share=0.05", "--set", f"{stage}.attempts=1", "--set", "echo.cut_share=1.0"]
    line = refused(stage, *command(unsharded, stage, tmp_path), "--shard", "1/4", *strict, "--set", "engine.rows_in_flight=1")
    assert f"{rows // 20 + 1} of {rows} rows were rejected" in line
