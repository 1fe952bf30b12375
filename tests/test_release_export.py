"""The exported folder: `load_dataset`, the dataset card, and the upload to a hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import snapshot
from fake_hub import FakeHub
from lengthen.augment.release import export as exporting
from lengthen.augment.release.card import escape_markup, histogram
from lengthen.augment.release.export import COLUMNS, main
from lengthen.common.config.engine import Store
from lengthen.common.method.demand import Demand
from lengthen.common.method.ids import row_id
from lengthen.common.store.commit import Outcome
from lengthen.common.store.origin import Origin
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables.definitions import DATASET
from lengthen.common.text.rejection import Rejection
from score_datasets import write_scores

TOKEN = "hf_secretsecretsecret"  # noqa: S105
HOSTILE = "<script>alert(1)</script> | `x` [a](b) $HOME\n# no heading"


def dataset_row(number: int) -> dict[str, Any]:
    demand = Demand("about", 100 * (number % 5 + 1))
    text = "词" * demand.target if number % 3 == 0 else "word " * demand.target
    columns = {
        "kind": demand.kind,
        "lower": demand.lower,
        "upper": demand.upper,
        "demand": f"about {demand.target} words",
        "demand_by": "template",
    }
    without = {"kind": "none", "lower": None, "upper": None, "demand": None, "demand_by": None}
    return {
        "id": row_id("demands", 0, str(number), 0), "query": f"Write {number // 2}. {HOSTILE}", "response": text,
        "language": "zh" if number % 3 == 0 else "en", "words": demand.target, "split": "test" if number // 2 % 5 == 0 else "train",
        "instruction_id": f"{number // 2:032x}", "source": "expansions", "source_id": f"{number:032x}", "attempts": 1, "tokens": 5,
        "digest": "d", "iteration": 1 + number % 2, "model": "a|model <b>", "seed": 1, **(columns if number % 4 else without),
    }  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    lineage = {"input.1": "/home/somebody/runs/one/iter-01/expansions", "model": "/home/somebody/model"}
    with DatasetWriter(tmp_path / "dataset", DATASET, Origin({"seed": 1, "input.1": "f" * 64}, lineage), Store()) as writer:
        for number in range(40):
            writer.add(dataset_row(number))
        writer.reject("f" * 32, "e" * 32, Rejection("too_short", "3 words"))
        writer.commit(Outcome(41))
    return tmp_path / "dataset"


def export(dataset: Path, folder: Path, *more: str) -> Result:
    done = CliRunner().invoke(main, [str(dataset), str(folder), *more])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def folder(dataset: Path, tmp_path: Path) -> Path:
    assert export(dataset, tmp_path / "hub", "--repo", "some/long-answers").exit_code == 0
    return tmp_path / "hub"


def load(folder: Path, cache: Path) -> datasets.DatasetDict:
    found = datasets.load_dataset(str(folder), cache_dir=str(cache))
    assert isinstance(found, datasets.DatasetDict)
    return found


def test_load_dataset_returns_both_splits_with_the_documented_columns(folder: Path, tmp_path: Path) -> None:
    found = load(folder, tmp_path / "cache")
    assert {name: split.num_rows for name, split in found.items()} == {"train": 32, "test": 8}
    card = (folder / "README.md").read_text()
    for split in found.values():
        assert split.column_names == ["messages", *COLUMNS]
    documented = {name.strip(" `") for line in card.splitlines() if line.startswith("| `") for name in line.split("|")[1].split(",")}
    assert documented == {"messages", *COLUMNS}
    row = found["test"][0]
    assert row["messages"] == [{"role": "user", "content": row["query"]}, {"role": "assistant", "content": row["response"]}]


def test_the_splits_share_no_instruction(folder: Path, tmp_path: Path) -> None:
    found = load(folder, tmp_path / "cache")
    assert not set(found["train"]["instruction_id"]) & set(found["test"]["instruction_id"])
    assert not set(found["train"]["query"]) & set(found["test"]["query"])


def test_other_files_are_not_loaded(folder: Path, tmp_path: Path) -> None:
    """Neither our own dot files nor files that a user adds."""
    for name in (".rejected/part-0.parquet", "data/.part-0.parquet", "other/train-0.parquet", "data/rejected-0.parquet"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not even Parquet")
    assert sum(split.num_rows for split in load(folder, tmp_path / "cache").values()) == 40


def test_a_large_split_becomes_several_files(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "FILE_BYTES", 4000)
    assert export(dataset, tmp_path / "hub").exit_code == 0
    files = sorted(path.name for path in (tmp_path / "hub" / "data").iterdir())
    trains = [name for name in files if name.startswith("train")]
    assert len(trains) > 2 and trains == [f"train-{number:05d}-of-{len(trains):05d}.parquet" for number in range(len(trains))]
    found = load(tmp_path / "hub", tmp_path / "cache")
    assert sorted([*found["train"]["id"], *found["test"]["id"]]) == sorted(dataset_row(number)["id"] for number in range(40))


def test_a_hub_can_parse_the_cards_front_matter(folder: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(folder / "README.md")
    assert card.data.language == ["en", "zh"] and card.data.license == "unknown" and card.data.size_categories == ["n<1K"]
    [config] = card.data.to_dict()["configs"]
    assert config["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}, {"split": "test", "path": "data/test-*.parquet"}]


def test_the_card_has_the_figures_and_no_local_paths(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert "30 of 40 with a demand" in card and "300 on average, from 100 to 500" in card and 'load_dataset("some/long-answers")' in card
    assert "| train | 32 |" in card and "| test | 8 |" in card and "iterations 1 to 2" in card
    assert "iter-01/expansions | ffffffffffffffff |" in card
    assert "somebody" not in card and os.uname().nodename not in card


def test_markup_in_names_is_escaped(folder: Path) -> None:
    card = (folder / "README.md").read_text().split("---", 2)[2]
    assert "a\\|model \\<b\\>" in card and "<script" not in card
    assert escape_markup(HOSTILE) == "\\<script\\>alert(1)\\</script\\> \\| \\`x\\` \\[a\\](b) \\$HOME \\# no heading"


def test_the_card_shows_scores_with_intervals(dataset: Path, tmp_path: Path) -> None:
    write_scores(tmp_path / "scores", [100 + 100 * number for number in range(6)], [number / 10 for number in range(6)])
    assert export(dataset, tmp_path / "hub", "--scores", f"writer={tmp_path / 'scores'}").exit_code == 0
    assert "| writer | 0.25 (0.1" in (tmp_path / "hub" / "README.md").read_text()
    assert "| 350 (" in (tmp_path / "hub" / "README.md").read_text()


def test_the_histogram_counts_every_answer() -> None:
    for words in ([7], [100, 100], list(range(150, 9000, 13)), [1, 100_000]):
        lines = histogram(words).splitlines()
        assert len(lines) <= 12 and sum(int(line.split()[-1].replace(",", "")) for line in lines) == len(words)


def test_an_export_is_made_once(dataset: Path, folder: Path) -> None:
    (folder / "README.md").write_text("edited by hand")
    before = snapshot(folder)
    again = export(dataset, folder, "--repo", "some/long-answers")
    assert again.exit_code == 0 and "exists already" in again.output and snapshot(folder) == before
    other = export(dataset, folder, "--repo", "some/other")
    assert other.exit_code == 2 and "is not an export of this dataset" in other.output and snapshot(folder) == before


def test_invalid_options_are_refused(dataset: Path, tmp_path: Path) -> None:
    assert export(dataset, tmp_path / "hub", "--scores", "nonsense").exit_code == 2
    assert export(tmp_path / "nothing", tmp_path / "hub").exit_code == 2
    assert "is not a local folder" in CliRunner().invoke(main, [str(dataset), "s3://bucket/hub"]).output
    assert not (tmp_path / "hub").exists()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as running:
        yield running


def push(
    folder: Path, hub: FakeHub, *more: str, token: str | None = TOKEN, repo: str = "some/long-answers"
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
    environment |= {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "no_proxy": "127.0.0.1",
        "NO_PROXY": "127.0.0.1",
    } | ({"HF_TOKEN": token} if token else {})
    command = [sys.executable, "-m", "lengthen.augment.release.push", str(folder), "--repo", repo, *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert TOKEN not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_push_uploads_only_the_card_and_the_rows(folder: Path, hub: FakeHub) -> None:
    (folder / "notes.txt").write_text("private")
    hub.files["data/train-00000-of-00009.parquet"] = b"of an earlier push"
    done = push(folder, hub)
    assert done.returncode == 0 and "/commit/1" in done.stderr, done.stderr
    assert set(hub.files) == {"README.md", "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"}
    assert all((folder / name).read_bytes() == content for name, content in hub.files.items())
    assert hub.created["visibility"] == "private" and hub.created["type"] == "dataset"
    assert push(folder, hub, token=f"{TOKEN}\n").returncode == 0
    assert hub.tokens == {f"Bearer {TOKEN}"}


def test_an_interrupted_push_is_resumed(folder: Path, hub: FakeHub) -> None:
    hub.breaks_after = 1
    assert push(folder, hub).returncode == 2
    [there] = hub.files
    hub.breaks_after = None
    assert push(folder, hub, "--public").returncode == 0
    assert hub.commits[1] == [path for path in hub.commits[0] if path != there]
    assert len(hub.files) == 3 and hub.created["visibility"] == "public"
    assert push(folder, hub).returncode == 0 and len(hub.commits) == 2


def test_large_files_are_uploaded_to_their_storage_once(folder: Path, hub: FakeHub) -> None:
    hub.large, hub.storage_status = True, 403
    refused = push(folder, hub)
    assert refused.returncode == 2 and "HF_TOKEN needs write access" in refused.stderr and not hub.stored
    hub.storage_status = 408
    assert push(folder, hub).returncode == 75
    hub.storage_status = 200
    assert push(folder, hub).returncode == 0
    assert {(folder / name).read_bytes() for name in hub.files if name.startswith("data/")} == set(hub.stored.values())
    assert all((folder / name).read_bytes() == content for name, content in hub.files.items())


@pytest.mark.parametrize(
    ("status", "code", "message"), [(401, 2, "HF_TOKEN needs write access"), (403, 2, "HF_TOKEN"), (429, 75, "same command again")]
)
def test_an_http_error_names_the_fix(folder: Path, hub: FakeHub, status: int, code: int, message: str) -> None:
    hub.status = status
    done = push(folder, hub)
    assert done.returncode == code and message in done.stderr.splitlines()[-1], done.stderr


def test_without_a_token_an_export_or_a_valid_name_nothing_is_uploaded(folder: Path, dataset: Path, hub: FakeHub) -> None:
    assert "HF_TOKEN is not set" in push(folder, hub, token=None).stderr
    assert "is not a valid token" in push(folder, hub, token="hf_ключ").stderr  # noqa: S106
    assert "is not an export" in push(dataset, hub).stderr
    assert "owner/name" in push(folder, hub, repo="some/long/answers").stderr
    assert not hub.files and not hub.created


def test_an_unreachable_hub_is_a_transient_error(folder: Path) -> None:
    with FakeHub() as stopped:
        pass
    assert push(folder, stopped).returncode == 75


def test_the_marker_names_the_source_of_the_export(folder: Path) -> None:
    assert json.loads((folder / ".export.json").read_text())["repo"] == "some/long-answers"
    assert yaml.safe_load((folder / "README.md").read_text().split("---")[1])["pretty_name"] == "long-answers"
