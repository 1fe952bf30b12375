"""Bring the base model to a folder, once: a revision of a repository on the model hub.

    python -m lengthen.common.fetch Qwen/Qwen2.5-7B-Instruct@a09a35458c70 /models/qwen2.5-7b-instruct

Only safetensors, the configuration and the tokenizer are fetched. A token for a gated model comes from HF_TOKEN.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
from lengthen.common.cli import with_exit_codes
from lengthen.common.errors import TransientError, UserError
from lengthen.common.progress import say

_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "tokenizer*", "*.model", "*.txt", "*.jinja"]
_SOURCE = ".source"  # beside the weights: what they are, written last


def fetch(source: str, target: Path) -> None:
    """Make `target` hold `source`; a folder that does already is left alone, whatever is half there is gone on with."""
    marker = target / _SOURCE
    if marker.is_file() and marker.read_text().strip() == source:
        say(f"fetch: {target} holds {source} already")
    elif target.exists():
        raise UserError(f"{target} holds another model than {source}; name another folder in model.path, or remove this one")
    else:
        building = target.with_name(f".{target.name}.fetching")
        _download(source, building)
        (building / _SOURCE).write_text(source)
        building.rename(target)
        say(f"fetch: {target} holds {source} now")


def _download(source: str, building: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    repository, at, revision = source.partition("@")
    if not at or not revision:
        raise UserError(f"{source!r} names no revision; give OWNER/NAME@REVISION, since what a name stands for changes")
    try:
        snapshot_download(repository, revision=revision, local_dir=building, allow_patterns=_FILES)
    except GatedRepoError as error:
        raise UserError(f"{repository} is gated: accept its terms on the hub and give a token in HF_TOKEN") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise UserError(f"{source} is not on the hub, or HF_TOKEN may not see it") from error
    except (HfHubHTTPError, OSError) as error:
        raise TransientError(f"{source}: {' '.join(str(error).split())[:300]}") from error
    if not any(building.glob("*.safetensors")):
        raise UserError(f"{source} has no *.safetensors; only such models are loaded")
    shutil.rmtree(building / ".cache", ignore_errors=True)


@click.command()
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
def main(source: str, target: Path) -> None:
    """Fetch SOURCE (OWNER/NAME@REVISION) from the model hub to TARGET, once."""
    with_exit_codes(lambda: fetch(source, target))


if __name__ == "__main__":
    main()
