"""Upload an export to a hub; a stopped upload goes on where it was.

HF_TOKEN=… python -m lengthen.common.push runs/laptop/release-02/hub --repo owner/name
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from lengthen.common.cli import with_exit_codes
from lengthen.common.errors import TransientError, UserError
from lengthen.common.export import MARKER

TOKEN = "HF_TOKEN"  # noqa: S105  # the name of the variable
_FILES = ["README.md", "data/*.parquet"]  # nothing else leaves this machine
_BUSY = (408, 425, 429, 500, 502, 503, 504)


def push(folder: Path, repo: str, private: bool) -> str:
    """Upload a folder that `export` wrote as the dataset `repo`; returns where it is. Files of an earlier push that are no part of it go.

    The token comes from the environment alone, never from a file, and is in no message.

    Raises:
        UserError: no export, no token, or the hub refuses.
        TransientError: the hub can't be reached or is busy.
    """
    if not (folder / MARKER).is_file():
        raise UserError(f"{folder} is no export; make it with python -m lengthen.common.export")
    token = os.environ.get(TOKEN, "").strip()  # a file's line break comes along easily
    if not token or not token.isascii() or not token.isprintable():
        raise UserError(f"{TOKEN} is not set, or is no token; put one with write access to {repo} into the environment")
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(token=token)
    try:
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, repo_type="dataset", folder_path=folder, allow_patterns=_FILES, delete_patterns="data/*.parquet",
            commit_message="Upload a release",
        )  # fmt: skip
    except HFValidationError as error:
        raise UserError(f"--repo {repo} is no name of the form owner/name: {error}") from error
    except HfHubHTTPError as error:
        raise _refusal(error.response.status_code, api.endpoint, repo) from error
    except PermissionError as error:  # of this machine's files, or of the hub's storage for large ones
        raise UserError(f"{type(error).__name__} for {folder} or {repo}; {TOKEN} needs write access to it") from error
    except (httpx2.TransportError, OSError) as error:
        raise _unreached(api.endpoint, error) from error
    except RuntimeError as error:  # the library's word for a large file that didn't arrive
        if isinstance(error.__cause__, HfHubHTTPError):
            raise _refusal(error.__cause__.response.status_code, api.endpoint, repo) from error
        raise _unreached(api.endpoint, error.__cause__ or error) from error
    return done.commit_url


def _unreached(endpoint: str, error: BaseException) -> TransientError:
    return TransientError(f"{endpoint} can't be reached ({type(error).__name__}); run the same command again, what is uploaded stays")


def _refusal(status: int, endpoint: str, repo: str) -> Exception:
    if status in _BUSY:
        return TransientError(f"{endpoint} answers {status}; run the same command again, what is uploaded stays")
    if status in (401, 403):
        return UserError(f"{endpoint} refuses {repo} ({status}); {TOKEN} needs write access to it")
    return UserError(f"{endpoint} refuses {repo} ({status}); look at the name, and at the card's front matter")


@click.command(context_settings={"max_content_width": 110})
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--repo", required=True, metavar="OWNER/NAME", help="The dataset on the hub; made if it isn't there.")
@click.option("--public", is_flag=True, help="Make a new one public; without, it is private.")
def main(folder: Path, repo: str, public: bool) -> None:
    """Upload an export to the Hugging Face hub (or to HF_ENDPOINT). The token is taken from HF_TOKEN.

    A stopped or failed upload goes on with the same command: what is there already is not sent again.
    """
    with_exit_codes(lambda: click.echo(f"push: {push(folder, repo, not public)}", err=True))


if __name__ == "__main__":
    main()
