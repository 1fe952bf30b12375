"""The base model is fetched once, as safetensors, and never overwrites another model."""

from __future__ import annotations

from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RevisionNotFoundError
from lengthen.common.process.errors import TransientError, UserError
from lengthen.finetune.fetch import fetch

SOURCE = "owner/name@1f2e3d"


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """A fake hub that has every repository. The value is the list of its downloads."""
    found: list[tuple[str, str]] = []

    def download(repository: str, *, revision: str, local_dir: Path, allow_patterns: list[str]) -> None:
        assert not any(pattern.endswith((".bin", ".pt", ".py")) for pattern in allow_patterns)
        found.append((repository, revision))
        (local_dir / ".cache").mkdir(parents=True)
        (local_dir / "model.safetensors").touch()

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return found


def test_a_model_is_fetched_once(downloads: list[tuple[str, str]], tmp_path: Path) -> None:
    fetch(SOURCE, tmp_path / "model")
    fetch(SOURCE, tmp_path / "model")
    assert downloads == [("owner/name", "1f2e3d")]
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.safetensors", ".source"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_another_model_is_not_overwritten(downloads: list[tuple[str, str]], tmp_path: Path) -> None:
    fetch(SOURCE, tmp_path / "model")
    with pytest.raises(UserError, match="contains another model"):
        fetch("owner/name@other", tmp_path / "model")
    with pytest.raises(UserError, match="has no revision"):
        fetch("owner/name", tmp_path / "new")


@pytest.mark.parametrize(
    ("error", "raised"),
    [(GatedRepoError, UserError), (RevisionNotFoundError, UserError), (HfHubHTTPError, TransientError), (OSError, TransientError)],
)
def test_user_errors_and_transient_failures_of_the_hub_are_distinguished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: type[Exception], raised: type[Exception]
) -> None:
    """The user can correct a gated repository or a wrong revision. A hub that is unavailable is a transient failure."""

    def download(*arguments: object, **named: object) -> None:
        if error is OSError:
            raise OSError("connection reset")
        raise error("no", response=httpx2.Response(403, request=httpx2.Request("GET", "https://hub")))  # type: ignore[call-arg]

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(raised):
        fetch(SOURCE, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_model_without_safetensors_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, local_dir, **k: (local_dir / "x").mkdir(parents=True))
    with pytest.raises(UserError, match="safetensors"):
        fetch(SOURCE, tmp_path / "model")
