"""The client against an API server over HTTP: one Workflow despite any failure, the right table, the right exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from api_server import ApiServer, node, pod
from conftest import ROOT
from kubernetes.client import Configuration
from lengthen.common.config.load import load_config
from lengthen.common.process.errors import TransientError, UserError
from lengthen.k8s import cluster as cluster_module
from lengthen.k8s import follow as follow_module
from lengthen.k8s.cluster import Cluster
from lengthen.k8s.follow import current_tasks, follow
from lengthen.k8s.nodes import Task, tasks_of
from lengthen.k8s.submit import TEMPLATES, submit
from lengthen.k8s.table import rows_of
from lengthen.k8s.workflow import Run
from test_k8s_manifests import rendered

RUN = Run(name="try", iteration=2, config=load_config(ROOT / "configs" / "laptop.yaml"), shards=3)
NAME = RUN.workflow_name
POLL = 0.02


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    monkeypatch.setattr(cluster_module, "_FIRST_WAIT", 0.01)
    api = ApiServer()
    for document in rendered("gpu"):
        if document["kind"] == "WorkflowTemplate":
            api.add("workflowtemplates", document)
    yield api
    api.stop()


def connect(server: ApiServer, retry_seconds: float = 20.0) -> Cluster:
    return Cluster(server.namespace, Configuration(host=server.url), retry_seconds)


def creations(server: ApiServer) -> int:
    return server.created[NAME]


def test_every_template_that_a_run_needs_is_checked() -> None:
    names = {d["metadata"]["name"] for d in rendered("gpu") if d["kind"] == "WorkflowTemplate"}
    assert {f"lengthen-{name}" for name in TEMPLATES} == names


def test_a_submit_sends_the_config_and_one_workflow(server: ApiServer) -> None:
    assert submit(connect(server), RUN, POLL) == "submitted"
    workflow = server.objects["workflows", NAME]
    assert workflow["spec"]["workflowTemplateRef"] == {"name": "lengthen-iteration"}
    assert workflow["spec"]["synchronization"] == {"mutexes": [{"name": "lengthen-try"}]}
    sent = {item["name"]: item["value"] for item in workflow["spec"]["arguments"]["parameters"]}
    assert (sent["root"], sent["iterations"], sent["shards"]) == ("/runs/try", "2", "3")
    declared = next(d for d in rendered("gpu") if d["metadata"]["name"] == "lengthen-iteration")["spec"]["arguments"]["parameters"]
    assert sent.keys() == {item["name"] for item in declared}
    assert server.objects["configmaps", sent["config"]]["data"].keys() == {"config.yaml"}


@pytest.mark.parametrize(
    ("phase", "outcome", "created"),
    [("", "attached", 1), ("Pending", "attached", 1), ("Running", "attached", 1), ("Succeeded", "succeeded", 1),
     ("Failed", "resubmitted", 2), ("Error", "resubmitted", 2)],
)  # fmt: skip
def test_a_second_submit_finds_its_own_workflow(server: ApiServer, phase: str, outcome: str, created: int) -> None:
    submit(connect(server), RUN, POLL)
    server.set_status(NAME, phase)
    server.deleting = 2  # the next two requests still see the failed one
    assert submit(connect(server), RUN, POLL) == outcome
    assert creations(server) == created


def test_a_submit_after_a_stop_waits_for_its_end_and_resumes(server: ApiServer) -> None:
    submit(connect(server), RUN, POLL)
    server.set_status(NAME, "Running")
    connect(server).stop_workflow(NAME)
    server.after = [lambda: None, lambda: server.set_status(NAME, "Failed", message="Stopped with strategy 'Stop'")]
    assert submit(connect(server), RUN, POLL) == "resubmitted"
    assert creations(server) == 2 and "shutdown" not in server.objects["workflows", NAME]["spec"]


def test_a_run_that_waits_for_another_one_is_reported(server: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    submit(connect(server), RUN, POLL)
    waiting = "Waiting for lengthen/Mutex/lengthen-try lock. Lock status: 0/1"
    server.after = [
        lambda: server.set_status(NAME, "Pending", message=waiting),
        lambda: None,
        lambda: server.set_status(NAME, "Succeeded", []),
    ]
    assert follow(connect(server), NAME, POLL) == 0
    assert capsys.readouterr().err.count(waiting) == 1


def test_other_settings_give_another_workflow() -> None:
    other = [
        Run(name="try", iteration=2, config=RUN.config, shards=4),
        Run(name="try", iteration=3, config=RUN.config, shards=3),
        Run(name="try", iteration=2, config=load_config(ROOT / "configs" / "laptop.yaml", ["seed=7"]), shards=3),
        Run(name="try", iteration=2, config=RUN.config, shards=3, files={"benchmark.jsonl": "{}"}),
    ]
    assert len({NAME, *(run.workflow_name for run in other)}) == 5


@pytest.mark.parametrize("fault", [429, (429, "1"), 500, 502, 503, 504, 410, "reset", "lost"])
@pytest.mark.parametrize("before", [0, len(TEMPLATES) + 1])  # requests that are answered first: the templates and the config
def test_no_transient_failure_creates_a_second_workflow(server: ApiServer, fault: Any, before: int) -> None:
    cluster = connect(server)
    waits: list[float] = []
    real_request = cluster._request

    def request(call: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal before
        if before == 0:
            server.faults = [fault, fault] if fault != (429, "1") else [fault]
        before -= 1
        began = time.monotonic()
        try:
            return real_request(call, *arguments, **named)
        finally:
            waits.append(time.monotonic() - began)

    cluster._request = request  # type: ignore[method-assign]
    assert submit(cluster, RUN, POLL) in ("submitted", "attached")
    assert server.faults == [] and creations(server) == 1
    assert fault != (429, "1") or max(waits) >= 1.0  # Retry-After: one second


def test_two_clients_at_once_create_one_workflow(server: ApiServer) -> None:
    """Between our 409 and our next request, the other client deletes the failed Workflow and creates its own."""
    submit(connect(server), RUN, POLL)
    server.set_status(NAME, "Failed")
    other_client = connect(server)
    server.after = [lambda: server.objects.pop(("workflows", NAME)) and other_client_submits()]

    def other_client_submits() -> None:
        body = {"metadata": {"name": NAME, "labels": {}}, "spec": {}}
        server.add("workflows", body)
        server.set_status(NAME, "Running")

    assert submit(connect(server), RUN, POLL) in ("attached", "resubmitted")
    assert creations(server) == 1  # ours; the other client's Workflow, added directly, was neither deleted nor created again
    assert server.objects["workflows", NAME]["status"]["phase"] == "Running"
    assert other_client.workflow(NAME) is not None


def test_a_cluster_without_templates_or_with_images_of_no_fixed_version_is_refused(server: ApiServer) -> None:
    template = server.objects["workflowtemplates", "lengthen-expand"]
    del server.objects["workflowtemplates", "lengthen-expand"]
    with pytest.raises(UserError, match=r"no WorkflowTemplate lengthen-expand; .* kubectl apply -k"):
        submit(connect(server), RUN, POLL)
    for image in ("lengthen/expand", "lengthen/expand:latest", "lengthen/expand:1;id", "LENGTHEN/expand:1", "$(id):1"):
        changed = {**template["spec"]["templates"][0], "container": {**template["spec"]["templates"][0]["container"], "image": image}}
        server.add("workflowtemplates", {**template, "spec": {**template["spec"], "templates": [changed]}})
        with pytest.raises(UserError, match="image"):
            submit(connect(server), RUN, POLL)
    assert not server.created


@pytest.mark.parametrize(
    ("status", "words"), [(401, "does not accept your credentials"), (403, "denies this request"), (422, "rejects the object")]
)
def test_an_error_that_a_user_or_admin_can_correct_is_one_line(server: ApiServer, status: int, words: str) -> None:
    server.faults = [status]
    with pytest.raises(UserError, match=words):
        submit(connect(server), RUN, POLL)


def test_a_server_that_keeps_failing_is_a_transient_failure(server: ApiServer) -> None:
    cluster = connect(server, retry_seconds=0.2)
    server.faults = [503] * 1000
    with pytest.raises(TransientError, match="answers 503"):
        cluster.workflow(NAME)


SHARDS = [
    node(1, "augment", "Succeeded", iteration=1, progress="16/16"),
    node(2, "generate", "Succeeded", iteration=1, shard=0, progress="10/10"),
    node(3, "generate", "Running", iteration=1, shard=1, progress="4/11"),
    node(4, "generate", "Running", "Retry", iteration=1, shard=2, children=["n5", "n6"]),
    node(5, "generate", "Error", iteration=1, shard=2, code=143, message="pod deleted"),
    node(6, "generate", "Pending", iteration=1, shard=2),
]
ROOM = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


@pytest.mark.parametrize("compressed", [False, True])
def test_the_table_has_shards_tries_rows_and_the_reason_why_a_pod_waits(server: ApiServer, compressed: bool) -> None:
    submit(connect(server), RUN, POLL)
    server.set_status(NAME, "Running", SHARDS, compressed=compressed)
    waits = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": ROOM}]
    server.add("pods", pod("p6", NAME, "n6", phase="Pending", conditions=waits))
    cluster = connect(server)
    workflow = cluster.workflow(NAME)
    assert workflow is not None
    table = [row[:6] + row[7:] for row in rows_of(current_tasks(cluster, workflow), datetime.now(UTC))]
    assert table == [
        ("1", "augment", "", "Succeeded", "16/16", "1", ""),
        ("1", "generate", "1 of 3", "Succeeded", "10/10", "1", ""),
        ("1", "generate", "1", "Running", "4/11", "1", ""),
        ("1", "generate", "2", "Pending", "", "2", f"Unschedulable: {ROOM}"),
    ]


def test_an_image_that_cannot_be_pulled_is_reported(server: ApiServer) -> None:
    waiting = {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    waiting["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    server.add("pods", pod("p", NAME, "n6", phase="Pending", containerStatuses=[waiting]))
    nodes = [node(6, "expand", "Pending", iteration=1, shard=0)]
    tasks = current_tasks(connect(server), {"metadata": {"name": NAME}, "status": {"nodes": {"n6": nodes[0]}}})
    assert tasks[0].message == "ImagePullBackOff: no such image"


ENDS: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any], int]] = {
    "succeeded": ("Succeeded", SHARDS[:2], {}, 0),
    "a mistake of the user": ("Failed", [node(1, "expand", "Failed", iteration=1, shard=0, code=2, message="Error (exit code 2)")], {}, 2),
    "a bug": ("Failed", [node(1, "expand", "Failed", iteration=1, shard=0, code=1)], {}, 1),
    "all retries failed": ("Failed", [node(1, "expand", "Failed", iteration=1, shard=0, code=137)], {}, 75),
    "a deleted pod": ("Error", [node(1, "expand", "Error", iteration=1, shard=0, message="pod deleted")], {}, 75),
    "two that failed": ("Failed", [node(1, "a", "Failed", code=137), node(2, "expand", "Failed", code=2)], {}, 2),
    "nothing known": ("Error", [], {}, 75),
}


@pytest.mark.parametrize("end", ENDS)
def test_following_ends_with_the_exit_code_of_the_outcome(server: ApiServer, end: str, capsys: pytest.CaptureFixture[str]) -> None:
    phase, nodes, more, code = ENDS[end]
    submit(connect(server), RUN, POLL)
    server.logs = {"p1": "error: config /etc/lengthen/config.yaml: expand.rounds: no such key \x1b[31m"}
    server.add("pods", pod("p1", NAME, "n1", phase="Failed"))
    server.after = [lambda: server.set_status(NAME, "Running", SHARDS[:1]), lambda: server.set_status(NAME, phase, nodes, **more)]
    assert follow(connect(server), NAME, POLL) == code
    stderr = capsys.readouterr().err
    assert f"{NAME}" in stderr and "\x1b" not in stderr
    if end == "a mistake of the user":
        assert "no such key" in stderr and "exit code 2" in stderr


def test_a_stopped_run_is_neither_a_success_nor_a_failure(server: ApiServer) -> None:
    submit(connect(server), RUN, POLL)
    connect(server).stop_workflow(NAME)
    server.set_status(NAME, "Failed", [], message="Stopped with strategy 'Stop'")
    assert follow(connect(server), NAME, POLL) == 143


def test_following_ends_when_the_workflow_is_deleted(server: ApiServer) -> None:
    submit(connect(server), RUN, POLL)
    server.after = [lambda: None, lambda: server.objects.pop(("workflows", NAME))]
    assert follow(connect(server), NAME, POLL) == 75


def test_following_survives_failures_and_a_restart_of_the_api_server(server: ApiServer) -> None:
    submit(connect(server), RUN, POLL)
    ends = [lambda: server.set_status(NAME, "Running", SHARDS, compressed=True)] * 3

    def restart() -> None:
        server.faults = [500, "reset", (429, "0"), 410, "lost"]
        import threading

        threading.Thread(target=server.restart, args=(0.3,)).start()

    server.after = [*ends, restart, *ends, lambda: server.set_status(NAME, "Succeeded", SHARDS[:2])]
    assert follow(connect(server), NAME, POLL) == 0
    assert creations(server) == 1


def test_the_outcome_is_shown_even_if_argo_stores_the_nodes_in_its_database(server: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    submit(connect(server), RUN, POLL)
    server.set_status(NAME, "Succeeded", offloadNodeStatusVersion="fnv:1")
    assert follow(connect(server), NAME, POLL) == 0
    assert "database" in capsys.readouterr().err


def test_the_first_interrupt_detaches_and_the_second_one_stops(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(connect(server), RUN, POLL)
    interrupts = iter([True, False, True, True])

    def sleep(seconds: float) -> None:
        if next(interrupts):
            raise KeyboardInterrupt

    monkeypatch.setattr(follow_module.time, "sleep", sleep)
    assert follow(connect(server), NAME, POLL) == 130
    assert "shutdown" not in server.objects["workflows", NAME]["spec"]
    assert follow(connect(server), NAME, POLL) == 130
    assert server.objects["workflows", NAME]["spec"]["shutdown"] == "Stop"


def test_an_interrupt_whose_exception_is_lost_detaches_all_the_same(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python drops an exception that a signal raises while a destructor runs."""
    submit(connect(server), RUN, POLL)
    current = follow_module.current_tasks

    def interrupted_in_a_destructor(*arguments: Any) -> list[Task]:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return current(*arguments)

    monkeypatch.setattr(follow_module, "current_tasks", interrupted_in_a_destructor)
    monkeypatch.setattr(follow_module.time, "sleep", lambda seconds: None)
    before = signal.getsignal(signal.SIGINT)
    assert follow(connect(server), NAME, POLL) == 130
    assert signal.getsignal(signal.SIGINT) is before and "shutdown" not in server.objects["workflows", NAME]["spec"]


def test_dag_nodes_and_skipped_nodes_are_not_tasks() -> None:
    kinds = [node(1, "iteration", "Running", "DAG"), node(2, "fetch", "Skipped", "Skipped"), node(3, "expand", "Running", "TaskGroup")]
    assert tasks_of({n["id"]: n for n in kinds}) == []


def test_a_task_that_seals_is_shown_with_its_stage() -> None:
    [task] = tasks_of({"n1": node(1, "seal-expand", "Running")})
    assert (task.stage, task.part) == ("seal", "expand")


def command(server: ApiServer, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    (folder / "kubeconfig").write_text(server.kubeconfig())
    environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig"), "COLUMNS": "160"}
    words = [sys.executable, "-m", "lengthen.k8s", *arguments]
    return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_commands_work_with_a_kubeconfig(server: ApiServer, tmp_path: Path) -> None:
    """submit --detach, status, logs and stop in separate processes, with a kubeconfig."""
    given = ("--run", "try", "--iteration", "2", "--config", "configs/laptop.yaml", "--shards", "3", "--detach")
    submitted = command(server, tmp_path, "submit", *given)
    assert (submitted.wait(60), submitted.stderr.read()) == (0, f"{NAME}: submitted; its data: /runs/try\n")  # type: ignore[union-attr]
    server.set_status(NAME, "Running", SHARDS)
    server.add("pods", pod("p2", NAME, "n2", phase="Succeeded"))
    server.logs = {"p2": "generate: 10/10 rows"}
    status, logs = (command(server, tmp_path, *words) for words in (("status", "try"), ("logs", "try", "--stage", "generate")))
    assert "4/11" in status.communicate(timeout=60)[0]
    assert logs.communicate(timeout=60)[0] == "== iteration 1 generate 0 try 1: Succeeded\ngenerate: 10/10 rows\n"
    stopped = command(server, tmp_path, "stop", "try")
    assert stopped.wait(60) == 0
    assert server.objects["workflows", NAME]["spec"]["shutdown"] == "Stop"


def test_an_interrupted_submit_leaves_the_run_to_the_cluster(server: ApiServer, tmp_path: Path) -> None:
    given = ("--run", "try", "--iteration", "2", "--config", "configs/laptop.yaml", "--shards", "3")
    following = command(server, tmp_path, "submit", *given)
    while not any(method == "GET" and path.endswith(f"/workflows/{NAME}") for method, path in server.requests):
        time.sleep(0.02)
        assert following.poll() is None
    following.send_signal(signal.SIGINT)
    _, stderr = following.communicate(timeout=60)
    assert following.returncode == 130 and f"detached: {NAME} continues on the cluster" in stderr and "Traceback" not in stderr
    assert "shutdown" not in server.objects["workflows", NAME]["spec"]
