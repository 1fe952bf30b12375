"""Fetching a run's data from the cluster's volume: complete datasets only, none overwritten, no path to outside the folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import ApiServer
from conftest import response_row, rows, write
from kubernetes.client import Configuration
from lengthen.common.process.errors import TransientError, UserError
from lengthen.common.tables.definitions import RESPONSES
from lengthen.k8s import results as results_module
from lengthen.k8s.cluster import Cluster
from lengthen.k8s.results import fetch_results
from manifest_schemas import schema_problems
from test_k8s_manifests import rendered


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """An API server whose pods run as soon as they are created."""
    api = ApiServer()
    api.add("workflowtemplates", next(d for d in rendered("gpu") if d["metadata"]["name"] == "lengthen-seal-generate"))
    add = api.add

    def start(plural: str, document: dict) -> dict:  # type: ignore[type-arg]
        found = add(plural, document)
        if plural == "pods":
            created.append({**document})
            found["status"] = {"phase": "Running"}
        return found

    created: list[dict] = []  # type: ignore[type-arg]
    api.add = start  # type: ignore[method-assign]
    api.created_pods = created  # type: ignore[attr-defined]
    yield api
    api.stop()


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder mounted at /runs; `kubectl exec` is replaced by a script that runs the pod's command on this folder."""
    folder = tmp_path / "volume"
    write(folder / "try" / "iter-01" / "responses", RESPONSES, [response_row(1, "One."), response_row(2, "Two.")])
    half = folder / "try" / "iter-01" / "expansions" / ".work"
    half.mkdir(parents=True)
    (half / "rows.parquet").touch()
    stub = tmp_path / "kubectl"
    stub.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"words = [w.replace('/runs', {str(folder)!r}) for w in sys.argv[sys.argv.index('--') + 1 :]]\nos.execvp(words[0], words)\n"
    )
    stub.chmod(0o755)
    monkeypatch.setattr(results_module, "kubectl", lambda: str(stub))
    return folder


def connect(server: ApiServer) -> Cluster:
    return Cluster(server.namespace, Configuration(host=server.url), 20.0)


def test_complete_datasets_are_fetched_once_and_the_pod_is_deleted(server: ApiServer, volume: Path, tmp_path: Path) -> None:
    target = tmp_path / "runs" / "try"
    assert fetch_results(connect(server), "try", target, 0.01) == ["iter-01/responses"]
    assert [row["response"] for row in rows(target / "iter-01" / "responses", "responses")] == ["One.", "Two."]
    assert not (target / "iter-01" / "expansions").exists()
    assert [path.name for path in target.parent.iterdir()] == ["try"]
    write(volume / "try" / "iter-02" / "responses", RESPONSES, [response_row(3, "Three.")])
    assert fetch_results(connect(server), "try", target, 0.01) == ["iter-02/responses"]
    assert not [name for plural, name in server.objects if plural == "pods"]
    assert schema_problems(server.created_pods[:1]) == []  # type: ignore[attr-defined]
    assert server.created_pods[0]["spec"]["containers"][0]["volumeMounts"] == [  # type: ignore[attr-defined]
        {"name": "runs", "mountPath": "/runs", "readOnly": True}
    ]


def test_another_dataset_in_the_same_folder_is_not_overwritten(server: ApiServer, volume: Path, tmp_path: Path) -> None:
    target = tmp_path / "runs" / "try"
    write(target / "iter-01" / "responses", RESPONSES, [response_row(9, "Ours.")])
    with pytest.raises(UserError, match="differs from the cluster's dataset"):
        fetch_results(connect(server), "try", target, 0.01)
    assert [row["response"] for row in rows(target / "iter-01" / "responses", "responses")] == ["Ours."]


def test_a_missing_run_and_links_to_outside_the_folder_are_refused(server: ApiServer, volume: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run other"):
        fetch_results(connect(server), "other", tmp_path / "runs" / "other", 0.01)
    (volume / "try" / "out").symlink_to("/etc")
    with pytest.raises(TransientError, match="the copy was interrupted"):
        fetch_results(connect(server), "try", tmp_path / "runs" / "try", 0.01)
    assert not (tmp_path / "runs" / "try").exists()
    assert not [name for plural, name in server.objects if plural == "pods"]
