"""The stages' common command line, and the one place where exceptions become exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from lengthen.common import __version__
from lengthen.common.errors import Stopped, TransientError, UserError

if TYPE_CHECKING:
    from lengthen.common.job import Job


class FolderType(click.Path):
    """A folder of this machine, or a place in an object store (s3://bucket/folder)."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        from lengthen.common.store.place import ObjectPath, parse_folder

        if isinstance(value, str) and "://" in value:
            try:
                return parse_folder(value)
            except UserError as error:
                self.fail(str(error), param, context)
        return value if isinstance(value, ObjectPath) else super().convert(value, param, context)


FOLDER = FolderType(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

_COMMON = (
    click.option("--config", "config", required=True, type=FILE, help="The run's YAML file, such as configs/laptop.yaml."),
    click.option("--output", required=True, type=FOLDER, help="The dataset's folder; a stopped run goes on there."),
    click.option("--iteration", default=1, show_default=True, type=click.IntRange(0), help="Goes into ids and lineage."),
    click.option("--limit", type=click.IntRange(1), help="Take only K input rows: the first by id; of prompts an even spread."),
    click.option("--seed", type=click.IntRange(0), help="Override the config's seed."),
    click.option("--set", "settings", multiple=True, metavar="KEY.PATH=VALUE", help="Override one config value."),
    click.option("--overwrite", is_flag=True, help="Replace a dataset that was made with other settings."),
    click.option("--dry-run", is_flag=True, help="Check everything, print the plan, touch nothing."),
    click.version_option(__version__, prog_name="lengthen"),
)
_ENGINE = click.option(
    "--engine",
    type=click.Choice(["vllm", "openai", "echo"]),
    default="vllm",
    show_default=True,
    help="openai: servers of the same model (engine.endpoint in the config); echo: random words, no model.",
)


_SHARD = click.option("--shard", metavar="I/N", help="Make only shard I (from 0) of N; then: python -m lengthen.common.dataset seal.")


def stage_command(stage: str, *, engine: bool = True, shards: bool = False) -> Callable[[Callable[..., None]], click.Command]:
    """Turn `run(job, **own options)` into a stage's command with the common options."""

    def decorate(run: Callable[..., None]) -> click.Command:
        def command(**options: Any) -> None:
            with_exit_codes(lambda: run(_job(stage, options), **options))

        command.__doc__ = run.__doc__
        function: Callable[..., None] = command
        function.__click_params__ = list(getattr(run, "__click_params__", []))  # type: ignore[attr-defined]
        for option in reversed((*_COMMON, *([_ENGINE] if engine else []), *([_SHARD] if shards else []))):
            function = option(function)
        return click.command(name=f"python -m lengthen.{stage}", context_settings={"max_content_width": 110})(function)

    return decorate


def with_exit_codes(work: Callable[[], None]) -> None:
    """Run and exit: one line for what the user can mend, a traceback for a bug (README, "Exit codes")."""
    try:
        work()
    except (UserError, TransientError, Stopped) as error:
        click.echo(f"error: {error}" if not isinstance(error, Stopped) else str(error), err=True)
        sys.stderr.flush()
        sys.exit(error.exit_code)


def _job(stage: str, options: dict[str, Any]) -> Job:
    """Take the common options out of `options`; what is left belongs to the stage."""
    from lengthen.common.config import load_config
    from lengthen.common.job import Job
    from lengthen.common.store.shard import Shard

    shard = options.pop("shard", None)
    common = {name: options.pop(name) for name in ("output", "iteration", "limit", "overwrite", "dry_run")}
    config = load_config(options.pop("config"), list(options.pop("settings")), options.pop("seed"))
    return Job(stage=stage, config=config, engine=options.pop("engine", ""), shard=Shard.parse(shard) if shard else None, **common)
