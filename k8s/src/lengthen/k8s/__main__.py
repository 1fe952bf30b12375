"""Runs on a Kubernetes cluster with Argo Workflows.

python -m lengthen.k8s submit --run laptop --iteration 2 --config configs/laptop.yaml --follow
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.stage.command import FILE
from lengthen.k8s.options import NAMESPACE, NODES, RUN, SETTINGS, SHARDS, run_of, run_options

if TYPE_CHECKING:
    from lengthen.k8s.cluster import Cluster
    from lengthen.k8s.manifests import Document
    from lengthen.k8s.workflow import Run


@click.group(context_settings={"max_content_width": 110})
def main() -> None:
    """Submit runs to a Kubernetes cluster with Argo Workflows, follow and stop them."""


@main.command()
@run_options
@click.option("--follow/--detach", "attached", default=True, show_default=True, help="Show the run until it ends.")
@click.option("--dry-run", is_flag=True, help="Check options and config, print what would be sent, send nothing.")
def submit(namespace: str, attached: bool, dry_run: bool, **options: Any) -> None:
    """Complete an iteration on the cluster. The same submit again attaches to the run, or resubmits what failed."""

    def work() -> None:
        run = run_of(namespace, **options)
        if dry_run:
            _print(run, namespace, [])
            return
        from lengthen.k8s.submit import submit_and_follow

        sys.exit(submit_and_follow(_connect(namespace), run, attached))

    with_exit_codes(work)


@main.command()
@run_options
@click.option("--overlay", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Print the overlay's manifests too.")
def render(namespace: str, overlay: Path | None, **options: Any) -> None:
    """Print the manifests that `submit` would send; nothing is sent."""

    def work() -> None:
        from lengthen.k8s.manifests import kustomize

        _print(run_of(namespace, **options), namespace, kustomize(overlay) if overlay else [])

    with_exit_codes(work)


@main.command()
@RUN
@NAMESPACE
def follow(run: str, namespace: str) -> None:
    """Show RUN until it ends. Ctrl-C detaches; a second Ctrl-C stops the run."""

    def work() -> None:
        from lengthen.k8s.follow import follow

        cluster = _connect(namespace)
        sys.exit(follow(cluster, _workflow_of(cluster, run)["metadata"]["name"]))

    with_exit_codes(work)


@main.command()
@RUN
@NAMESPACE
def status(run: str, namespace: str) -> None:
    """Show the current state of RUN."""

    def work() -> None:
        from lengthen.k8s.follow import show_once

        cluster = _connect(namespace)
        show_once(cluster, _workflow_of(cluster, run))

    with_exit_codes(work)


@main.command()
@RUN
@NAMESPACE
def stop(run: str, namespace: str) -> None:
    """Stop RUN. Its pods save finished work; the same submit resumes from it."""

    def work() -> None:
        from lengthen.common.process.progress import say

        cluster = _connect(namespace)
        name = _workflow_of(cluster, run)["metadata"]["name"]
        cluster.stop_workflow(name)
        say(f"{name} is stopping")

    with_exit_codes(work)


@main.command()
@RUN
@NAMESPACE
@click.option("--stage", help="Of one stage only, such as expand.")
@click.option("--part", help="Of one shard or role only, such as 3 or extender.")
@click.option("--lines", default=50, show_default=True, type=click.IntRange(1), help="Last lines of each pod's log.")
def logs(run: str, namespace: str, stage: str | None, part: str | None, lines: int) -> None:
    """Print the last lines of the logs of RUN's pods. Pods that succeeded are deleted after ten minutes."""

    def work() -> None:
        from lengthen.common.process.errors import UserError
        from lengthen.k8s.follow import show_logs

        cluster = _connect(namespace)
        workflow = _workflow_of(cluster, run)
        if not show_logs(cluster, workflow, stage, part, lines):
            raise UserError(f"{workflow['metadata']['name']} has no such pods with logs now; `status` lists its stages and shards")

    with_exit_codes(work)


@main.command()
@RUN
@NAMESPACE
@click.option("--to", "target", required=True, type=click.Path(path_type=Path, file_okay=False), help="The run's folder on this machine.")
def fetch(run: str, namespace: str, target: Path) -> None:
    """Copy RUN's complete datasets from the cluster's volume to this machine. Datasets that are here already are kept."""

    def work() -> None:
        from lengthen.k8s.names import check_run
        from lengthen.k8s.results import fetch_results

        fetch_results(_connect(namespace), check_run(run), target)

    with_exit_codes(work)


@main.command()
@click.option("--config", required=True, type=FILE, help="The run's YAML file.")
@click.option("--iteration", required=True, type=int, help="The last iteration.")
@SETTINGS
@SHARDS
@NODES
@click.option("--run", type=click.Path(path_type=Path, file_okay=False), help="The folder of a run; its measured rates are used.")
def plan(config: Path, iteration: int, settings: tuple[str, ...], shards: int, nodes: int, run: Path | None) -> None:
    """Print the DAG with an estimate of rows, tokens and GPU-hours for each stage. Nothing is submitted."""

    def work() -> None:
        from lengthen.common.config.load import load_config
        from lengthen.common.config.row_lengths import over_long_rows
        from lengthen.common.process.progress import say
        from lengthen.k8s.names import check_iteration
        from lengthen.k8s.plan import plan, table_of
        from lengthen.k8s.rates import ASSUMED
        from rich.console import Console

        loaded = load_config(config, list(settings))
        steps = plan(loaded, check_iteration(iteration), shards, nodes, run)
        Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(table_of(steps))
        if any(step.source == "assumed" for step in steps):
            click.echo("assumed, where no run was measured:\n" + "\n".join(f"  {line}" for line in ASSUMED))
        for line in over_long_rows(loaded):
            say(f"plan: WARNING: {line}")

    with_exit_codes(work)


def _print(run: Run, namespace: str, documents: list[Document]) -> None:
    """Print `documents` and what a submit of `run` sends, as YAML."""
    import yaml
    from lengthen.k8s.workflow import config_map, workflow

    sent = [config_map(run, namespace), workflow(run, namespace)]
    click.echo(yaml.safe_dump_all([*documents, *sent], sort_keys=False, allow_unicode=True), nl=False)


def _connect(namespace: str) -> Cluster:
    from lengthen.k8s.cluster import Cluster
    from lengthen.k8s.names import check_namespace

    return Cluster.connect(check_namespace(namespace))


def _workflow_of(cluster: Cluster, run: str) -> Document:
    from lengthen.k8s.names import check_run

    return cluster.current_workflow(check_run(run))


if __name__ == "__main__":
    main()
