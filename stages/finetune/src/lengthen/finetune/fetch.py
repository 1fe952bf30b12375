"""Download a base model to a folder, once: a revision of a repository on the Hugging Face Hub.

    python -m lengthen.finetune.fetch Qwen/Qwen2.5-7B-Instruct@a09a35458c70 /models/qwen2.5-7b-instruct

Only safetensors, the configuration and the tokenizer are downloaded. Set HF_TOKEN for a gated model.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
from lengthen.common.process.errors import TransientError, UserError
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.process.progress import say

_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "tokenizer*", "*.model", "*.txt", "*.jinja"]
_SOURCE = ".source"  # a file with the source of the weights, written last


def fetch(source: str, target: Path) -> None:
    """Download `source` to `target`, unless it is there already. An incomplete download is resumed.

    Raises:
        UserError: `target` has another model, or `source` has no revision, does not exist, is gated or has no safetensors.
        TransientError: the download failed.
    """
    marker = target / _SOURCE
    if marker.is_file() and marker.read_text().strip() == source:
        say(f"fetch: {target} already contains {source}")
    elif target.exists():
        raise UserError(f"{target} contains another model than {source}; set another folder in model.path, or delete this one")
    else:
        building = target.with_name(f".{target.name}.fetching")
        _download(source, building)
        (building / _SOURCE).write_text(source)
        building.rename(target)
        say(f"fetch: downloaded {source} to {target}")


def _download(source: str, building: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    repository, at, revision = source.partition("@")
    if not at or not revision:
        raise UserError(f"{source!r} has no revision; give OWNER/NAME@REVISION, because a repository can change")
    try:
        snapshot_download(repository, revision=revision, local_dir=building, allow_patterns=_FILES)
    except GatedRepoError as error:
        raise UserError(f"{repository} is gated; accept its terms on the Hub and set HF_TOKEN") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise UserError(f"{source} does not exist on the Hub, or HF_TOKEN has no access to it; correct the name or the token") from error
    except (HfHubHTTPError, OSError) as error:
        raise TransientError(f"{source}: download failed: {' '.join(str(error).split())[:300]}; run the same command again") from error
    if not any(building.glob("*.safetensors")):
        raise UserError(f"{source} has no *.safetensors files; use a repository or revision in safetensors format")
    shutil.rmtree(building / ".cache", ignore_errors=True)


@click.command()
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
def main(source: str, target: Path) -> None:
    """Download SOURCE (OWNER/NAME@REVISION) from the Hugging Face Hub to TARGET, once."""
    with_exit_codes(lambda: fetch(source, target))


if __name__ == "__main__":
    main()
