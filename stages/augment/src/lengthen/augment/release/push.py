"""Upload an export to the Hugging Face hub; an interrupted upload is resumed by the same command.

HF_TOKEN=… python -m lengthen.augment.release.push runs/laptop/release-02/hub --repo owner/name
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from lengthen.augment.release.export import MARKER
from lengthen.common.process.errors import TransientError, UserError
from lengthen.common.process.exit_codes import with_exit_codes

TOKEN = "HF_TOKEN"  # noqa: S105  # the variable's name
_FILES = ["README.md", "data/*.parquet"]  # no other file is uploaded
_RETRY = "run the same command again: uploaded files are not sent again"
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


def push(folder: Path, repo: str, private: bool) -> str:
    """Upload a folder that `export` wrote as the dataset `repo`. Returns the URL of the commit.

    Data files of an earlier upload that are not in the folder are deleted on the hub. The token comes only from the
    environment, never from a file, and no message contains it.

    Raises:
        UserError: not an export, no valid token, or the hub rejects the request.
        TransientError: the hub cannot be reached or is busy.
    """
    if not (folder / MARKER).is_file():
        raise UserError(f"{folder} is not an export; make one with python -m lengthen.augment.release.export")
    token = os.environ.get(TOKEN, "").strip()  # $(cat FILE) and the like may add a line break
    if not token or not token.isascii() or not token.isprintable():
        raise UserError(f"{TOKEN} is not set, or is not a valid token; export one with write access to {repo}")
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
        raise UserError(f"--repo {repo} is not of the form owner/name: {error}") from error
    except HfHubHTTPError as error:
        raise _hub_error(error.response.status_code, api.endpoint, repo) from error
    except PermissionError as error:  # local files, or the hub's storage for large files
        raise UserError(f"{type(error).__name__} for {folder} or {repo}; {TOKEN} needs write access to it") from error
    except (httpx2.TransportError, OSError) as error:
        raise _connection_error(api.endpoint, error) from error
    except RuntimeError as error:  # the library raises it when the upload of a large file fails
        if isinstance(error.__cause__, HfHubHTTPError):
            raise _hub_error(error.__cause__.response.status_code, api.endpoint, repo) from error
        raise _connection_error(api.endpoint, error.__cause__ or error) from error
    return done.commit_url


def _connection_error(endpoint: str, error: BaseException) -> TransientError:
    return TransientError(f"{endpoint} cannot be reached ({type(error).__name__}); {_RETRY}")


def _hub_error(status: int, endpoint: str, repo: str) -> Exception:
    if status in _TRANSIENT:
        return TransientError(f"{endpoint} returned HTTP status {status}; {_RETRY}")
    if status in (401, 403):
        return UserError(f"{endpoint} denied access to {repo} (HTTP status {status}); {TOKEN} needs write access to it")
    return UserError(f"{endpoint} rejected {repo} (HTTP status {status}); check the name, and the front matter of README.md")


@click.command(context_settings={"max_content_width": 110})
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--repo", required=True, metavar="OWNER/NAME", help="The dataset on the hub; created if it does not exist.")
@click.option("--public", is_flag=True, help="Create a new dataset as public; the default is private.")
def main(folder: Path, repo: str, public: bool) -> None:
    """Upload an export to the Hugging Face hub (or to HF_ENDPOINT). The token is read from HF_TOKEN.

    The same command resumes an interrupted upload: uploaded files are not sent again.
    """
    with_exit_codes(lambda: click.echo(f"push: {push(folder, repo, not public)}", err=True))


if __name__ == "__main__":
    main()
