"""User input is refused before anything is sent, or passed on as data. Secrets are never shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from api_server import ApiServer, node
from argo_walker import Call, End, Walk
from click.testing import CliRunner, Result
from conftest import ROOT, succeed
from lengthen.common.config.load import load_config
from lengthen.common.process.errors import UserError
from lengthen.common.store.manifest import read_manifest
from lengthen.k8s.__main__ import main
from lengthen.k8s.names import MAX_RUN, check_image, check_model_source, check_namespace, check_run, check_store
from lengthen.k8s.plan import benchmark_rows, plan
from lengthen.k8s.rates import assumed, measured, words
from lengthen.k8s.workflow import Run, config_map, workflow
from manifest_schemas import schema_problems
from test_k8s_manifests import OVERLAYS, rendered

HOSTILE = [
    "", " ", "-", "--help", "a b", "a\nb", "a\x00b", "a\x1b[31m", "$(id)", "`id`", "a;id", "a|id", "a&b", "a>b", "a'b", 'a"b',
    "../a", "a/../b", "{{workflow.name}}", "{{=1+1}}", "a{{inputs.parameters.x}}", "{{", "a: b", "- a", "*", "a#b", "%s", "ä", "名前",
    "a\u202eb", "a\u200bb", "ＡＢ",
]  # fmt: skip
GIVEN = ["--run", "try", "--iteration", "1", "--config", str(ROOT / "configs" / "laptop.yaml")]
# Eight processes share each row, so that a machine trains one row at a time.
SHARED_ROWS = ["--set", "finetune.runtime.nproc_per_node=8", "--set", "finetune.runtime.sequence_parallel_size=8"]


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("text", [*HOSTILE, "Try", "1try", "try_1", "try.1", "try-", "a--b", "a" * (MAX_RUN + 1), "/abs"])
def test_a_hostile_run_name_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        check_run(text)


@pytest.mark.parametrize("check", [check_namespace, check_store, check_image])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_namespaces_stores_and_images_are_refused(check: object, text: str) -> None:
    with pytest.raises(UserError):
        check(text)  # type: ignore[operator]


@pytest.mark.parametrize(
    "text", [t for t in HOSTILE if t] + ["owner/name", "name@main", "owner/name@", "a/b/c@d", "o/n@../x", "https://h/o/n@r"]
)
def test_hostile_model_sources_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        check_model_source(text)


@pytest.mark.parametrize(
    "image",
    ["lengthen/expand:0.1.0", "expand:1", "localhost/expand:1", "registry.example.com:5000/team/lengthen/expand:0.1.0-gpu",
     "r.io/a/b@sha256:" + "0" * 64, "host:5000/a:1"],
)  # fmt: skip
def test_images_with_a_fixed_version_are_accepted(image: str) -> None:
    assert check_image(image) == image


@pytest.mark.parametrize(
    "image", ["a", "a:latest", "a:", ":1", "a:1:2", "A/b:1", "a//b:1", "a/b:1@sha256:xyz", "http://r.io/a:1", "a:1 b", "a/-b:1"]
)
def test_images_without_a_fixed_version_are_refused(image: str) -> None:
    with pytest.raises(UserError):
        check_image(image)


@pytest.mark.parametrize("iteration", ["0", "-1", "100", "1e3", "two", "{{=1}}"])
def test_an_iteration_out_of_range_is_refused(iteration: str) -> None:
    assert call("submit", "--run", "try", "--iteration", iteration, "--config", GIVEN[5], "--dry-run").exit_code == 2


def test_refusals_are_one_line_with_the_fix_and_send_nothing(tmp_path: Path) -> None:
    """There is no cluster here: a request would fail with another error."""
    for more, message in (
        (["--run", "My Run"], "lowercase letters"),
        (["--store", "runs; id"], "plain characters"),
        (["--model-source", "o/n"], "REVISION"),
        (["--namespace", "A"], "namespace 'A'"),
        (["--set", "model.path=/etc"], "models/NAME"),
        (["--set", "model.path=models/../x"], "models/NAME"),
        (["--nodes", "3", "--set", "finetune.train_batch_size=4"], "multiple of 3"),
        (["--nodes", "3", *SHARED_ROWS, "--set", "finetune.train_batch_size=4"], "multiple of 3"),
        (["--set", "expand.rouns=2"], "no such key"),
        (["--benchmark", str(tmp_path / "missing")], "can't be read"),
    ):
        result = call("submit", *GIVEN, *more)
        assert result.exit_code == 2 and message in result.stderr and "Traceback" not in result.output, (more, result.output)


@pytest.mark.parametrize(
    "text", ["{{workflow.name}}", "{{=asInt('1')}}", "$(id)", "'; id; '", "a\nb: c", "\u202e", "- !!python/object:os.system"]
)
def test_the_content_of_a_config_or_benchmark_is_sent_as_data(text: str) -> None:
    """The text is only in the ConfigMap's values, which neither Argo nor a shell interprets, and not in the Workflow."""
    config = load_config(ROOT / "configs" / "laptop.yaml", [f"finetune.lora.target_modules={json.dumps([text])}"])
    run = Run(name="try", iteration=1, config=config, files={"benchmark.jsonl": text})
    sent = config_map(run, "lengthen")
    assert sent["data"]["benchmark.jsonl"] == text
    assert yaml.safe_load(sent["data"]["config.yaml"])["finetune"]["lora"]["target_modules"] == [text]
    assert text not in json.dumps(workflow(run, "lengthen"), ensure_ascii=False)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_config_in_the_config_map_is_the_one_that_was_given(path: Path, tmp_path: Path) -> None:
    run = Run(name="try", iteration=1, config=load_config(path))
    (tmp_path / "config.yaml").write_text(run.data["config.yaml"])
    assert load_config(tmp_path / "config.yaml") == run.config


def test_files_too_large_for_a_config_map_are_refused() -> None:
    with pytest.raises(UserError, match="ConfigMap holds at most"):
        Run(name="try", iteration=1, config=load_config(ROOT / "configs" / "laptop.yaml"), files={"benchmark.jsonl": "ä" * 500_000})


def test_the_longest_names_fit() -> None:
    run = Run(name="r" * MAX_RUN, iteration=99, config=load_config(ROOT / "configs" / "laptop.yaml"))
    assert len(run.workflow_name) <= 37
    assert len(f"{run.workflow_name}-99-generator-m-0-15-abcde") <= 63


def test_rendering_prints_the_overlay_and_what_a_submit_sends(tmp_path: Path) -> None:
    shown = call("render", *GIVEN, "--overlay", str(ROOT / "k8s" / "overlays" / "cpu"))
    documents = list(yaml.safe_load_all(shown.stdout))
    assert documents[:-2] == rendered("cpu") and [d["kind"] for d in documents[-2:]] == ["ConfigMap", "Workflow"]
    assert list(yaml.safe_load_all(call("submit", *GIVEN, "--dry-run").stdout)) == documents[-2:]
    (tmp_path / "kustomization.yaml").write_text("resources: [missing.yaml]")
    refused = call("render", *GIVEN, "--overlay", str(tmp_path))
    assert refused.exit_code == 2 and "missing.yaml" in refused.stderr and not refused.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("release", [False, True])
def test_what_a_submit_sends_is_valid(path: Path, release: bool) -> None:
    run = Run(name="try", iteration=1, config=load_config(path), shards=3, release=release, files={"benchmark.jsonl": "{}"})
    assert schema_problems([config_map(run, "lengthen"), workflow(run, "lengthen")]) == []


def test_a_secret_in_the_environment_is_never_shown(tmp_path: Path) -> None:
    """A secret in the variables that the stages and the client read, and in the kubeconfig's token."""
    canary = "canary-5f2e9c"
    server = ApiServer()
    for document in rendered("gpu"):
        if document["kind"] == "WorkflowTemplate":
            server.add("workflowtemplates", document)
    (tmp_path / "kubeconfig").write_text(server.kubeconfig(canary))
    secrets = dict.fromkeys(("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "OPENAI_API_KEY"), canary)
    environment = {**os.environ, **secrets, "KUBECONFIG": str(tmp_path / "kubeconfig")}
    overlay = str(ROOT / "k8s" / "overlays" / "multinode")
    run = Run(name="try", iteration=1, config=load_config(ROOT / "configs" / "laptop.yaml"))
    results = []
    for arguments in (
        ["render", *GIVEN, "--overlay", overlay],
        ["submit", *GIVEN, "--detach"],
        ["follow", "try"],
    ):
        if arguments[0] == "follow":
            server.set_status(run.workflow_name, "Failed", [node(1, "expand", "Failed", code=2)])
        command = [sys.executable, "-m", "lengthen.k8s", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        results.append((arguments[0], done.returncode, done.stdout + done.stderr))
    server.faults = [403, 500, 500]
    command = [sys.executable, "-m", "lengthen.k8s", "status", "try"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    results.append(("status", done.returncode, done.stdout + done.stderr))
    server.stop()
    assert [code for _, code, _ in results] == [0, 0, 2, 2], results
    assert not [name for name, _, text in results if canary in text]
    assert canary not in json.dumps(list(server.objects.values()))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_manifests_contain_no_value_of_a_secret(overlay: str) -> None:
    secrets = [d for d in rendered(overlay) if d["kind"] == "Secret"]
    assert {d["type"] for d in secrets} == {"kubernetes.io/service-account-token"}
    assert len(secrets) == (2 if overlay == "multinode" else 1)
    assert all(d.keys() == {"apiVersion", "kind", "metadata", "type"} for d in secrets)


def test_a_plan_has_the_steps_that_argo_runs() -> None:
    config = load_config(ROOT / "configs" / "qwen2.5-7b.yaml")
    steps = plan(config, 3, 8, 1, None)
    calls: list[Call] = []
    Walk(rendered("gpu"), lambda made: calls.append(made) or End.of(0)).run(workflow(Run("try", 3, config, shards=8), "lengthen"))
    ran = {(int(c.inputs["iteration"]), c.inputs.get("role", c.stage)) for c in calls if "iteration" in c.inputs}
    assert {(step.iteration, step.stage) for step in steps} == ran
    expand = [step for step in steps if step.stage == "expand"]
    assert expand[0].rows_in == pytest.approx(5000 * 2 * 0.95 * 2 * 0.595, rel=0.01)  # the paper's numbers and selection
    assert expand[1].tokens == pytest.approx(2 * expand[0].tokens) and expand[1].gpu_hours == pytest.approx(8 * expand[1].hours)
    assert words(4) == 8000  # what the paper reached after three iterations
    assert {step.source for step in steps} == {"assumed"}


def test_a_plan_uses_the_rates_measured_in_a_run(tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "run" / "iter-01"
    slow = ("--config", config, "--engine", "echo", "--set", "echo.latency_seconds=0.2")  # the latency gives a speed that can be measured
    succeed("augment", *slow, "--output", folder / "instructions")
    succeed("generate", *slow, "--input", folder / "instructions", "--output", folder / "responses")
    manifest = read_manifest(folder / "responses")
    rate = measured(tmp_path / "run", "generate", 1)
    assert manifest and rate and rate.source == "iteration 1"
    assert (rate.yielded, rate.tokens) == (manifest.rows_out / manifest.rows_in, manifest.tokens / manifest.rows_in)
    later = measured(tmp_path / "run", "generate", 3)
    assert later and later.tokens == pytest.approx(4 * rate.tokens)
    steps = plan(load_config(config), 2, 1, 1, tmp_path / "run")
    sources = {step.source for step in steps if step.stage in ("augment", "generate")}
    assert sources == {"iteration 1"} and {step.source for step in steps if step.stage == "expand"} == {"assumed"}
    assert assumed("generate", 9, 100).tokens == pytest.approx(130)  # never more than the longest answer


def test_the_benchmark_is_counted_by_language() -> None:
    english, both = (benchmark_rows(load_config(ROOT / "configs" / name)) for name in ("llama3.1-8b.yaml", "qwen2.5-7b.yaml"))
    assert 0 < english < both


@pytest.mark.parametrize("setting", ["evaluate.forgetting=false", "evaluate.ruler=[]", "evaluate.samples=2"])
def test_the_rows_of_a_plan_are_those_that_evaluate_scores(setting: str, tmp_path: Path, config: Path) -> None:
    given = ("--config", config, "--engine", "echo", "--iteration", "0", "--set", setting)
    succeed("evaluate", *given, "--output", tmp_path / "scores")
    manifest = read_manifest(tmp_path / "scores")
    assert manifest and benchmark_rows(load_config(config, [setting])) == manifest.rows_in


def test_make_plan_prints_it() -> None:
    command = ["make", "plan", "N=2", "CONFIG=configs/llama3.1-8b.yaml", "SHARDS=8", "RUN=/nowhere"]
    shown = subprocess.run([*command, "-o", ".venv/.ready-cpu"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "GPU-hours" in shown.stdout and "assumed" in shown.stdout


@pytest.mark.parametrize("target", ["iteration", "status", "stop", "logs", "fetch"])
def test_make_calls_the_client_for_the_cluster(target: str) -> None:
    command = ["make", "-n", target, "RUNNER=argo", "RUN=runs/try", "N=2", "SHARDS=4", "CONFIG=configs/llama3.1-8b.yaml"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.replace("\\\n", " ")
    words_shown = next(line for line in shown.splitlines() if "lengthen.k8s" in line).split()[3:]
    wanted = (
        ["submit", "--run", "try", "--iteration", "2", "--shards", "4", "--config", "configs/llama3.1-8b.yaml"]
        if target == "iteration"
        else [target, "try"]
    )
    assert set(wanted) <= set(words_shown)


def test_help_is_printed_without_heavy_imports() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "lengthen.k8s", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {"submit", "render", "plan", "follow", "status", "stop", "logs", "fetch"} <= set(shown.stdout.split())
    imported = {line.split("|")[-1].strip().split(".")[0] for line in shown.stderr.splitlines()}
    assert not imported & {"kubernetes", "hera", "pydantic", "pyarrow", "yaml", "torch"}


def test_ranks_that_share_rows_count_as_one_in_the_size_of_a_step() -> None:
    result = call("submit", *GIVEN, *SHARED_ROWS, "--nodes", "3", "--set", "finetune.train_batch_size=3", "--dry-run")
    assert result.exit_code == 0, result.output
