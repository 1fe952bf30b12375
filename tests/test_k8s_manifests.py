"""The cluster's manifests: valid for the API, every reference resolves, and a pod has only the rights that it needs."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from lengthen.common.dataset.stage_figures import SHARDED
from lengthen.k8s.manifests import kustomize, pods_of, templates_of
from manifest_schemas import schema_problems
from manifest_semantics import problems

K8S = ROOT / "k8s"
OVERLAYS = ("cpu", "gpu", "multinode")
STAGES = ("augment", "generate", "expand", "finetune", "evaluate")
Document = dict[str, Any]


@cache
def rendered(overlay: str) -> list[Document]:
    return kustomize(K8S / "overlays" / overlay)


def template(documents: list[Document], name: str, index: int = 0) -> Document:
    return next(d for d in documents if d["kind"] == "WorkflowTemplate" and d["metadata"]["name"] == name)["spec"]["templates"][index]


def test_the_list_of_overlays_and_components_is_complete() -> None:
    made_by_push = {"pinned-cpu", "pinned-gpu"}
    assert {path.name for path in (K8S / "overlays").iterdir()} - made_by_push == set(OVERLAYS)
    assert {path.name for path in (K8S / "components").iterdir()} == {"s3", "judge", "kueue"}
    for overlay in OVERLAYS:  # kustomize reads no file outside its folder, so these are copies
        assert (K8S / "overlays" / overlay / "images.yaml").read_text() == (K8S / "base" / "images.yaml").read_text()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_is_valid_and_every_reference_resolves(overlay: str) -> None:
    assert schema_problems(rendered(overlay)) == []
    assert problems(rendered(overlay)) == []


def test_every_stage_has_a_template_and_every_file_of_the_base_is_used() -> None:
    assert {f"lengthen-{stage}" for stage in STAGES} <= {name for name, _ in templates_of(rendered("gpu"))}
    listed = yaml.safe_load((K8S / "base" / "kustomization.yaml").read_text())["resources"]
    names = {path.relative_to(K8S / "base").as_posix() for path in (K8S / "base").rglob("*.yaml")}
    assert {name for name in names if "/" not in name or name.startswith("workflows/")} - {"kustomization.yaml", "images.yaml"} == set(
        listed
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_shards_of_a_stage_are_sealed_in_its_own_image(overlay: str) -> None:
    """Only the stage's package computes its figures; the summary is a module of evaluate."""
    documents = rendered(overlay)
    images = {pod.where: pod.image for pod in pods_of(documents)}
    assert {where for where in images if "seal" in where} == {f"lengthen-seal-{stage}/seal" for stage in SHARDED}
    for stage in SHARDED:
        assert images[f"lengthen-seal-{stage}/seal"] == images[f"lengthen-{stage}/shard"]
        [seal] = [task for task in template(documents, f"lengthen-{stage}", 1)["dag"]["tasks"] if task["name"] == "seal"]
        assert seal["templateRef"] == {"name": f"lengthen-seal-{stage}", "template": "seal"}
    assert images["lengthen-summary/summary"] == images["lengthen-evaluate/shard"]


@pytest.mark.parametrize("component", ["s3", "judge", "kueue"])
def test_every_component_can_be_added_to_an_overlay(component: str, tmp_path: Path) -> None:
    # Below k8s/, because kustomize accepts only relative paths.
    folder = tmp_path / "overlay"
    folder.mkdir()
    up = Path(*[".."] * len(folder.parts[1:])) / K8S.relative_to("/")
    names = {"resources": [str(up / "overlays" / "gpu")], "components": [str(up / "components" / component)]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(names))
    documents = kustomize(folder)
    assert schema_problems(documents) == []
    assert problems(documents) == []
    assert documents != rendered("gpu")
    if component == "s3":
        assert "lengthen-runs" not in str(documents)


def test_the_gpu_overlay_places_vllm_and_deepspeed_on_their_pools_and_counts_gpus_by_patch() -> None:
    for stage, pool, gpus in (("generate", "vllm", "engine-gpus"), ("finetune", "deepspeed", "training-gpus")):
        pod = template(rendered("gpu"), f"lengthen-{stage}")
        assert pod["nodeSelector"]["lengthen.dev/pool"] == pool
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
        assert f'"nvidia.com/gpu": "{{{{workflow.parameters.{gpus}}}}}"' in pod["podSpecPatch"]
    without = ("lengthen-fetch", "lengthen-summary", *(f"lengthen-seal-{stage}" for stage in SHARDED))
    assert "nvidia" not in str([template(rendered("gpu"), name) for name in without])


def test_every_pod_is_retried_after_a_transient_failure_and_never_after_a_bug_or_user_error() -> None:
    for pod in pods_of(rendered("gpu")):
        strategy = pod.spec["retryStrategy"]
        assert strategy["retryPolicy"] == "Always"  # a deleted pod is an Error, not a failure
        codes = re.search(r"asInt\(lastRetry\.exitCode\) in \[(.*)\]", strategy["expression"])
        assert codes and {int(code) for code in codes[1].split(",")} == {-1, 75, 134, 137, 139, 143}
        assert "lastRetry.status == 'Error'" in strategy["expression"]
        assert pod.spec["activeDeadlineSeconds"] > 0


def test_only_the_pod_that_fetches_the_model_may_write_models_and_reach_public_addresses() -> None:
    writers = {
        pod.where
        for pod in pods_of(rendered("multinode"))
        for mount in pod.container["volumeMounts"]
        if mount["mountPath"] == "/models" and not mount.get("readOnly")
    }
    assert writers == {"lengthen-fetch/fetch"}
    policies = {d["metadata"]["name"]: d["spec"] for d in rendered("gpu") if d["kind"] == "NetworkPolicy"}
    assert policies["lengthen-default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    public = [name for name, policy in policies.items() if "0.0.0.0/0" in str(policy)]
    assert public == ["lengthen-model-hub"]
    assert policies["lengthen-model-hub"]["podSelector"] == {"matchLabels": {"lengthen.dev/stage": "fetch"}}


def test_no_role_has_more_rights_than_needed() -> None:
    roles = {d["metadata"]["name"]: d["rules"] for d in rendered("multinode") if d["kind"] == "Role"}
    results = {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    assert roles["lengthen-executor"] == [results]
    assert results in roles["lengthen-jobsets"] and len(roles["lengthen-jobsets"]) == 2
    assert "*" not in str(roles)
    bound = {d["roleRef"]["name"]: [s["name"] for s in d["subjects"]] for d in rendered("multinode") if d["kind"] == "RoleBinding"}
    assert bound == {"lengthen-executor": ["lengthen-executor"], "lengthen-jobsets": ["lengthen-jobsets"]}
    assert {pod.spec["serviceAccountName"] for pod in pods_of(rendered("multinode"))} == {"lengthen-stage"}  # which has no role binding
    namespace = next(d for d in rendered("gpu") if d["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_several_machines_train_as_a_jobset_that_is_deleted_at_the_end() -> None:
    documents = rendered("multinode")
    node = next(pod for pod in pods_of(documents) if pod.where == "lengthen-finetune/finetune/m")
    assert {item["name"] for item in node.container["env"]} >= {"PET_NNODES", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"}
    assert node.image == "lengthen/finetune:0.1.0-gpu"
    resource = template(documents, "lengthen-finetune")["resource"]
    assert resource["successCondition"] == "status.terminalState == Completed" and resource["setOwnerReference"]
    jobset = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "2", resource["manifest"]))["spec"]
    rule = jobset["replicatedJobs"][0]["template"]["spec"]["podFailurePolicy"]["rules"][0]
    assert rule == {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [1, 2]}}
    iteration = next(d["spec"] for d in documents if d["metadata"]["name"] == "lengthen-iteration")
    flags = next(t for t in iteration["templates"] if t["name"] == iteration["onExit"])["resource"]["flags"]
    assert "lengthen.dev/workflow={{workflow.name}}" in flags and "lengthen.dev/workflow:" in resource["manifest"]


TYPOS: dict[str, Callable[[list[Document]], object]] = {
    "retryStrategie": lambda d: template(d, "lengthen-expand").update(retryStrategie={"limit": "1"}),
    "imagePullPolice": lambda d: template(d, "lengthen-expand")["container"].update(imagePullPolice="Always"),
    "dependson": lambda d: template(d, "lengthen-iteration", 1)["dag"]["tasks"][1].update(dependson="augment"),
    "capp": lambda d: template(d, "lengthen-seal-expand")["retryStrategy"]["backoff"].update(capp="1m"),
    "ttlStrategi": lambda d: next(x for x in d if x["metadata"]["name"] == "lengthen-iteration")["spec"].update(ttlStrategi={}),
    "podSelectr": lambda d: next(x for x in d if x["kind"] == "NetworkPolicy")["spec"].update(podSelectr={}),
    "accessMode": lambda d: next(x for x in d if x["kind"] == "PersistentVolumeClaim")["spec"].update(accessMode=["x"]),
    "restartPolice": lambda d: in_jobset(d, "restartPolicy", "restartPolice"),
    "maxRestart": lambda d: in_jobset(d, "ttlSecondsAfterFinished:", "maxRestart:"),
}


def in_jobset(documents: list[Document], old: str, new: str) -> None:
    resource = template(documents, "lengthen-finetune")["resource"]
    resource["manifest"] = resource["manifest"].replace(old, new)


@pytest.mark.parametrize("typo", TYPOS)
def test_an_injected_typo_is_found(typo: str) -> None:
    documents = copy.deepcopy(rendered("multinode"))
    TYPOS[typo](documents)
    assert [problem for problem in schema_problems(documents) if typo in problem]


FAULTS: dict[str, Callable[[list[Document]], object]] = {
    "not a valid name for Kubernetes": lambda d: d[0]["metadata"].update(name="Lengthen_runs"),
    "too long after": lambda d: template(d, "lengthen-seal-expand").update(name="a-template-with-a-long-name"),
    "is too long": lambda d: template(d, "lengthen-seal-expand")["metadata"]["labels"].update({"lengthen.dev/stage": "s" * 64}),
    "must have one type": lambda d: template(d, "lengthen-seal-expand").update(dag={"tasks": []}),
    "which is not another task": lambda d: template(d, "lengthen-iteration", 1)["dag"]["tasks"][1].update(depends="agument && generate"),
    "two tasks are named": lambda d: template(d, "lengthen-iteration", 1)["dag"]["tasks"][1].update(name="augment"),
    "no template lengthen-generate/chard": lambda d: template(d, "lengthen-generate", 1)["dag"]["tasks"][0].update(template="chard"),
    "but lengthen-generate/shard needs": lambda d: template(d, "lengthen-generate", 1)["dag"]["tasks"][0]["arguments"]["parameters"].pop(),
    "does not resolve": lambda d: template(d, "lengthen-expand")["container"]["args"].append("--input={{inputs.parameters.inptu}}"),
    "{{=asInt(workflow.parameters.shard)}} does": lambda d: template(d, "lengthen-expand").update(
        priorityClassName="{{=asInt(workflow.parameters.shard)}}"
    ),
    "{{item}} does": lambda d: template(d, "lengthen-expand")["container"]["args"].append("{{item}}"),
    "is not one of its templates": lambda d: next(x for x in d if x["metadata"]["name"] == "lengthen-iteration")["spec"].update(
        entrypoint="ru"
    ),
    "resources must have": lambda d: template(d, "lengthen-expand")["container"].pop("resources"),
    "nodeSelector and tolerations": lambda d: template(d, "lengthen-expand").pop("tolerations"),
    "runAsNonRoot": lambda d: template(d, "lengthen-expand")["securityContext"].pop("runAsNonRoot"),
    "forbid privilege escalation": lambda d: template(d, "lengthen-expand")["container"]["securityContext"].update(privileged=True),
    "must not mount its token": lambda d: template(d, "lengthen-expand").pop("automountServiceAccountToken"),
    "and not a shell": lambda d: template(d, "lengthen-expand")["container"].update(command=["/bin/sh", "-c"]),
    "volume shm is not defined": lambda d: template(d, "lengthen-expand")["volumes"].pop(),
    "podSpecPatch is not valid JSON": lambda d: template(d, "lengthen-expand").update(podSpecPatch="{"),
    "has no fixed version": lambda d: template(d, "lengthen-expand")["container"].update(image="lengthen/expand:latest"),
    "is not a valid image reference": lambda d: template(d, "lengthen-expand")["container"].update(image="lengthen/expand:1 --privileged"),
    "contains data": lambda d: next(x for x in d if x["kind"] == "Secret").update(stringData={"token": "abc"}),
    "must come from a Secret": lambda d: template(d, "lengthen-fetch")["container"]["env"].append({"name": "HF_TOKEN", "value": "abc"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_injected_fault_that_no_schema_finds_is_found(fault: str) -> None:
    documents = copy.deepcopy(rendered("multinode"))
    FAULTS[fault](documents)
    assert [problem for problem in problems(documents) if fault in problem], problems(documents)


def test_a_stage_reads_from_variables_the_options_that_a_pods_fixed_arguments_cannot_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Several inputs, separated by spaces, URLs of buckets among them; an empty variable is an option left out."""
    from lengthen.finetune.__main__ import main

    monkeypatch.setenv("LENGTHEN_INPUT", f"{tmp_path}/one  s3://bucket/two ")
    monkeypatch.setenv("LENGTHEN_ADAPTER", "")
    arguments = ["--config", "c.yaml", "--output", str(tmp_path / "out"), "--role", "generator"]
    given = main.make_context("finetune", arguments).params
    assert [str(folder) for folder in given["expansions"]] == [f"{tmp_path}/one", "s3://bucket/two"]
    assert given["adapter"] is None


@pytest.mark.parametrize(("variable", "release"), [("", False), ("true", True)])
def test_a_variable_requests_a_release(monkeypatch: pytest.MonkeyPatch, variable: str, release: bool) -> None:
    from lengthen.augment.__main__ import main

    monkeypatch.setenv("LENGTHEN_RELEASE", variable)
    assert main.make_context("augment", ["--config", "c.yaml", "--output", "out"]).params["release"] is release
