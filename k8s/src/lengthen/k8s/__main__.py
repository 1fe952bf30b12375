"""Runs on a Kubernetes cluster with Argo Workflows.

python -m lengthen.k8s submit --run laptop --iteration 2 --config configs/laptop.yaml --follow
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from lengthen.common.cli import FILE, with_exit_codes

if TYPE_CHECKING:
    from lengthen.k8s.cluster import Cluster
    from lengthen.k8s.manifests import Document
    from lengthen.k8s.workflow import Run

_NAMESPACE = click.option("--namespace", default="lengthen", show_default=True, envvar="LENGTHEN_NAMESPACE", help="Of the cluster.")
_RUN = click.argument("run")
_SUBMIT = (
    click.option("--run", "name", required=True, help="The run's name: its folder in the store, and a part of every object's name."),
    click.option("--iteration", required=True, type=int, help="Is complete afterwards; what it needs is made first."),
    click.option("--config", required=True, type=FILE, help="The run's YAML file, such as configs/qwen2.5-7b.yaml."),
    click.option("--set", "settings", multiple=True, metavar="KEY.PATH=VALUE", help="Override one config value."),
    click.option("--engine", type=click.Choice(["vllm", "echo"]), default="vllm", show_default=True),
    click.option("--shards", default=1, show_default=True, type=click.IntRange(1), help="Pods of generate, expand and evaluate."),
    click.option(
        "--nodes", default=1, show_default=True, type=click.IntRange(1), help="Machines that train one adapter (overlay multinode)."
    ),
    click.option("--store", default="/runs", show_default=True, help="Where runs lie: the pods' volume, or s3://BUCKET/PREFIX."),
    click.option("--model-source", default="", help="Fetch the base model first: OWNER/NAME@REVISION on the hub."),
    click.option("--release", is_flag=True, help="Make a release after it: a dataset with length demands, and a writer."),
    click.option("--seeds", type=FILE, help="Your own seed instructions."),
    click.option("--benchmark", type=FILE, help="Your own benchmark."),
    _NAMESPACE,
)


def _submission(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_SUBMIT):
        function = option(function)
    return function


@click.group(context_settings={"max_content_width": 110})
def main() -> None:
    """Submit runs to a Kubernetes cluster with Argo Workflows, follow and stop them."""


@main.command()
@_submission
@click.option("--follow/--detach", "attached", default=True, show_default=True, help="Show the run until it ends.")
@click.option("--dry-run", is_flag=True, help="Check everything, print what would be sent, send nothing.")
def submit(namespace: str, attached: bool, dry_run: bool, **options: Any) -> None:
    """Make the cluster complete an iteration. The same submit again attaches to it, reports it, or tries again what failed."""

    def work() -> None:
        run = _run(options, namespace)
        if dry_run:
            _print(run, namespace, [])
            return
        from lengthen.common.errors import EXIT_SIGINT
        from lengthen.common.progress import say
        from lengthen.k8s.follow import follow
        from lengthen.k8s.submit import submit

        cluster = _connect(namespace)
        try:
            outcome = submit(cluster, run)
        except KeyboardInterrupt:
            say(f"{run.workflow_name}: interrupted, perhaps after it was sent; `status` says so, and the same submit attaches to it")
            sys.exit(EXIT_SIGINT)
        say(f"{run.workflow_name}: {outcome}; its data: {run.root}")
        if attached and outcome != "succeeded":
            sys.exit(follow(cluster, run.workflow_name))

    with_exit_codes(work)


@main.command()
@_submission
@click.option("--overlay", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Print what it applies, too.")
def render(namespace: str, overlay: Path | None, **options: Any) -> None:
    """Print the manifests, strictly validated: unknown fields and references to nothing are refused."""

    def work() -> None:
        from lengthen.k8s.manifests import kustomize

        _print(_run(options, namespace), namespace, kustomize(overlay) if overlay else [])

    with_exit_codes(work)


@main.command()
@_RUN
@_NAMESPACE
def follow(run: str, namespace: str) -> None:
    """Show RUN until it ends. Ctrl-C lets go of it, a second one stops it."""

    def work() -> None:
        from lengthen.k8s.follow import follow

        cluster = _connect(namespace)
        sys.exit(follow(cluster, _newest(cluster, run)["metadata"]["name"]))

    with_exit_codes(work)


@main.command()
@_RUN
@_NAMESPACE
def status(run: str, namespace: str) -> None:
    """Show RUN as it is now."""

    def work() -> None:
        from lengthen.k8s.follow import show_once

        cluster = _connect(namespace)
        show_once(cluster, _newest(cluster, run))

    with_exit_codes(work)


@main.command()
@_RUN
@_NAMESPACE
def stop(run: str, namespace: str) -> None:
    """Stop RUN; its pods save what is finished, and the same submit goes on from there."""

    def work() -> None:
        from lengthen.common.progress import say

        cluster = _connect(namespace)
        name = _newest(cluster, run)["metadata"]["name"]
        cluster.stop_workflow(name)
        say(f"{name} is asked to stop")

    with_exit_codes(work)


@main.command()
@_RUN
@_NAMESPACE
@click.option("--stage", help="Of one stage only, such as expand.")
@click.option("--part", help="Of one shard or role only, such as 3 or extender.")
@click.option("--lines", default=50, show_default=True, type=click.IntRange(1), help="Of each pod's log, from its end.")
def logs(run: str, namespace: str, stage: str | None, part: str | None, lines: int) -> None:
    """Print the ends of the logs of RUN's pods; those of pods that succeeded are kept for ten minutes."""

    def work() -> None:
        from lengthen.common.errors import UserError
        from lengthen.k8s.follow import show_logs

        cluster = _connect(namespace)
        workflow = _newest(cluster, run)
        if not show_logs(cluster, workflow, stage, part, lines):
            raise UserError(f"{workflow['metadata']['name']} has no such pods with logs now; `status` shows what there is")

    with_exit_codes(work)


@main.command()
@_RUN
@_NAMESPACE
@click.option("--to", "target", required=True, type=click.Path(path_type=Path, file_okay=False), help="The run's folder here.")
def fetch(run: str, namespace: str, target: Path) -> None:
    """Copy RUN's complete datasets from the cluster's volume to this machine; those that are here already stay."""

    def work() -> None:
        from lengthen.k8s.names import check_run
        from lengthen.k8s.results import fetch_results

        fetch_results(_connect(namespace), check_run(run), target)

    with_exit_codes(work)


@main.command()
@click.option("--config", required=True, type=FILE, help="The run's YAML file.")
@click.option("--iteration", required=True, type=int, help="The last one.")
@click.option("--set", "settings", multiple=True, metavar="KEY.PATH=VALUE", help="Override one config value.")
@click.option("--shards", default=1, show_default=True, type=click.IntRange(1), help="Pods of generate, expand and evaluate.")
@click.option("--nodes", default=1, show_default=True, type=click.IntRange(1), help="Machines for an adapter.")
@click.option("--run", type=click.Path(path_type=Path, file_okay=False), help="A run's folder, whose measured rates are taken.")
def plan(config: Path, iteration: int, settings: tuple[str, ...], shards: int, nodes: int, run: Path | None) -> None:
    """Print the DAG with rows, tokens and GPU-hours by stage, before anything is submitted."""

    def work() -> None:
        from lengthen.common.config import load_config
        from lengthen.k8s.names import check_iteration
        from lengthen.k8s.plan import plan, table_of
        from lengthen.k8s.rates import ASSUMED
        from rich.console import Console

        steps = plan(load_config(config, list(settings)), check_iteration(iteration), shards, nodes, run)
        Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(table_of(steps))
        if any(step.source == "assumed" for step in steps):
            click.echo("assumed, where no run was measured:\n" + "\n".join(f"  {line}" for line in ASSUMED))

    with_exit_codes(work)


def _run(options: dict[str, Any], namespace: str) -> Run:
    from lengthen.common.config import load_config
    from lengthen.k8s.names import check_namespace
    from lengthen.k8s.workflow import Run, read_file

    check_namespace(namespace)
    given = {"seeds.jsonl": options.pop("seeds"), "benchmark.jsonl": options.pop("benchmark")}
    config = load_config(options.pop("config"), list(options.pop("settings")))
    files = {name: read_file(path) for name, path in given.items() if path}
    return Run(**options, config=config, files=files)


def _print(run: Run, namespace: str, documents: list[Document]) -> None:
    """Raises: UserError: a manifest isn't valid."""
    import yaml
    from lengthen.common.errors import UserError
    from lengthen.k8s.schemas import schema_problems
    from lengthen.k8s.semantics import problems
    from lengthen.k8s.workflow import config_map, workflow

    made = [*documents, config_map(run, namespace), workflow(run, namespace)]
    if found := [*schema_problems(made), *problems(documents)]:
        raise UserError("; ".join(found))
    click.echo(yaml.safe_dump_all(made, sort_keys=False, allow_unicode=True), nl=False)


def _connect(namespace: str) -> Cluster:
    from lengthen.k8s.cluster import Cluster
    from lengthen.k8s.names import check_namespace

    return Cluster.connect(check_namespace(namespace))


def _newest(cluster: Cluster, run: str) -> Document:
    """The run's Workflow that is at work, else its newest."""
    from lengthen.common.errors import UserError
    from lengthen.k8s.names import check_run

    found = cluster.workflows(check_run(run))
    if not found:
        raise UserError(f"namespace {cluster.namespace} has no Workflow of run {run}; submit it first")
    active = [workflow for workflow in found if workflow.get("status", {}).get("phase", "") in ("", "Pending", "Running")]
    return (active or found)[0]


if __name__ == "__main__":
    main()
