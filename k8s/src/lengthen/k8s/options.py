"""Options that several commands of `python -m lengthen.k8s` share, and the Run that they describe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from lengthen.common.stage.command import FILE

if TYPE_CHECKING:
    from lengthen.k8s.workflow import Run

RUN = click.argument("run")
NAMESPACE = click.option(
    "--namespace", default="lengthen", show_default=True, envvar="LENGTHEN_NAMESPACE", help="Namespace on the cluster."
)
SETTINGS = click.option("--set", "settings", multiple=True, metavar="KEY.PATH=VALUE", help="Override one config value.")
SHARDS = click.option("--shards", default=1, show_default=True, type=click.IntRange(1), help="Pods of generate, expand and evaluate.")
NODES = click.option(
    "--nodes", default=1, show_default=True, type=click.IntRange(1), help="Machines that train one adapter (overlay multinode)."
)
_RUN_OPTIONS = (
    click.option("--run", "name", required=True, help="The run's name: its folder in the store, and a part of every object's name."),
    click.option("--iteration", required=True, type=int, help="The iteration to complete; earlier ones are made first."),
    click.option("--config", required=True, type=FILE, help="The run's YAML file, such as configs/qwen2.5-7b.yaml."),
    SETTINGS,
    click.option("--engine", type=click.Choice(["vllm", "echo"]), default="vllm", show_default=True),
    SHARDS,
    NODES,
    click.option("--store", default="/runs", show_default=True, help="Where runs are stored: the pods' volume, or s3://BUCKET/PREFIX."),
    click.option("--model-source", default="", help="Download the base model first: OWNER/NAME@REVISION on the model hub."),
    click.option("--release", is_flag=True, help="Then make a release: a dataset with length demands, and a writer."),
    click.option("--seeds", type=FILE, help="Your own seed instructions."),
    click.option("--benchmark", type=FILE, help="Your own benchmark."),
    NAMESPACE,
)


def run_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that describe a run to a command."""
    for option in reversed(_RUN_OPTIONS):
        function = option(function)
    return function


def run_of(namespace: str, config: Path, settings: tuple[str, ...], seeds: Path | None, benchmark: Path | None, **options: Any) -> Run:
    """The run that the values of `run_options` describe.

    Raises:
        UserError: a value that can't be used, or a file that can't be read.
    """
    from lengthen.common.config.load import load_config
    from lengthen.k8s.names import check_namespace
    from lengthen.k8s.workflow import Run, read_file

    check_namespace(namespace)
    loaded = load_config(config, list(settings))
    files = {name: read_file(path) for name, path in (("seeds.jsonl", seeds), ("benchmark.jsonl", benchmark)) if path}
    return Run(**options, config=loaded, files=files)
