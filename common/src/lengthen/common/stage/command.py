"""The command line that all stages share: common options, environment variables, exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from lengthen.common import __version__
from lengthen.common.process.errors import UserError
from lengthen.common.process.exit_codes import with_exit_codes

if TYPE_CHECKING:
    from lengthen.common.stage.job import Job


class FolderType(click.Path):
    """A local folder, or a URL of an object store (s3://bucket/folder)."""

    name = "folder"
    envvar_list_splitter = None  # type: ignore[assignment]  # split a variable at blanks: URLs contain colons

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        from lengthen.common.store.object_path import ObjectPath

        if isinstance(value, str) and "://" in value:
            try:
                return ObjectPath.parse(value)
            except UserError as error:
                self.fail(str(error), param, context)
        return value if isinstance(value, ObjectPath) else super().convert(value, param, context)


FOLDER = FolderType(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

_COMMON = (
    click.option("--config", "config", required=True, type=FILE, help="The run's YAML file, such as configs/laptop.yaml."),
    click.option("--output", required=True, type=FOLDER, help="The dataset's folder; a stopped run resumes there."),
    click.option("--iteration", default=1, show_default=True, type=click.IntRange(0), help="Number of the iteration; part of the row ids."),
    click.option("--limit", type=click.IntRange(1), help="Use only this many input rows: the first by id; of prompts, evenly spaced ones."),
    click.option("--seed", type=click.IntRange(0), help="Override the config's seed."),
    click.option("--set", "settings", multiple=True, metavar="KEY.PATH=VALUE", help="Override one config value."),
    click.option("--overwrite", is_flag=True, help="Replace a dataset that was made with other settings."),
    click.option("--dry-run", is_flag=True, help="Check everything and print the plan, without writing anything."),
    click.version_option(__version__, prog_name="lengthen"),
)
_ENGINE = click.option(
    "--engine",
    type=click.Choice(["vllm", "openai", "echo"]),
    default="vllm",
    show_default=True,
    help="openai: servers with the same model (engine.endpoint in the config); echo: random words, no model.",
)


_SHARD = click.option(
    "--shard", metavar="I/N", help="Make only shard I (from 0) of N; afterwards run python -m lengthen.common.dataset seal."
)


# The arguments of a Kubernetes pod are a fixed list, in which an option can't be omitted or repeated. So these can be variables.
_VARIABLES = {name: f"LENGTHEN_{name[2:].upper()}" for name in ("--input", "--adapter", "--benchmark", "--seeds", "--release")}


def stage_command(stage: str, *, engine: bool = True, shards: bool = False) -> Callable[[Callable[..., None]], click.Command]:
    """A decorator that turns `run(job, **own options)` into a stage's command with the common options."""

    def decorate(run: Callable[..., None]) -> click.Command:
        def command(**options: Any) -> None:
            with_exit_codes(lambda: run(_job(stage, options), **options))

        command.__doc__ = run.__doc__
        function: Callable[..., None] = command
        function.__click_params__ = list(getattr(run, "__click_params__", []))  # type: ignore[attr-defined]
        for option in reversed((*_COMMON, *([_ENGINE] if engine else []), *([_SHARD] if shards else []))):
            function = option(function)
        made = click.command(name=f"python -m lengthen.{stage}", context_settings={"max_content_width": 110})(function)
        for parameter in made.params:
            parameter.envvar = next((_VARIABLES[name] for name in parameter.opts if name in _VARIABLES), None)
        return made

    return decorate


def _job(stage: str, options: dict[str, Any]) -> Job:
    """Remove the common options and the adapter from `options`, and make a job of them. The rest are the stage's own."""
    from lengthen.common.config.load import load_config
    from lengthen.common.stage.job import open_job
    from lengthen.common.store.shards import Shard

    shard = options.pop("shard", None)
    common = {name: options.pop(name) for name in ("output", "iteration", "limit", "overwrite", "dry_run")}
    config = load_config(options.pop("config"), list(options.pop("settings")), options.pop("seed"))
    common["shard"] = Shard.parse(shard) if shard else None
    return open_job(config, options.pop("engine", ""), options.pop("adapter", None), stage=stage, **common)
