"""Make pip in a build use the pip settings of this machine: print the options for `buildah build`.

    python3 stages/pip_here.py FOLDER [--extra-index-url URL]

Writes FOLDER/pip.conf from `pip config list`. The printed options mount this file, every file and folder in it (certificates,
local indexes) and pip's cache below /mnt, only during the build: the image does not contain them.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def settings(listing: str) -> dict[str, str]:
    """The settings from the lines `section.name='value'` of `pip config list`. The environment (section `:env:`) overrides the files."""
    lines = [line.partition("=") for line in listing.splitlines() if "=" in line]
    lines.sort(key=lambda line: line[0].startswith(":env:"))
    return {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, _, value in lines}


def local_paths(values: dict[str, str]) -> list[str]:
    """The files and folders of this machine in pip's settings. For a local index the parent folder, which also has the packages."""
    found = set()
    for name, value in values.items():
        paths = [Path(word.removeprefix("file://")) for word in value.split()]
        found |= {str(path.parent if "index" in name else path) for path in paths if path.is_absolute() and path.exists()}
    return sorted(found, reverse=True)  # /a/b before /a, so that the longer path is replaced first


def main() -> None:
    folder, *extra = sys.argv[1:]
    values = settings(subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout)
    if bundle := os.environ.get("REQUESTS_CA_BUNDLE"):
        values.setdefault("cert", bundle)
    if extra:
        values["extra-index-url"] = " ".join([*values.get("extra-index-url", "").split(), extra[-1]])
    cache = subprocess.run([*PIP, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    Path(cache).mkdir(parents=True, exist_ok=True)
    mounts = [f"{folder}/pip.conf:/mnt/pip.conf:ro", f"{cache}:/mnt/cache:rw"]
    for number, path in enumerate(local_paths(values)):
        mounts.append(f"{path}:/mnt/{number}:ro")
        values = {name: value.replace(path, f"/mnt/{number}") for name, value in values.items()}
    values["cache-dir"] = "/mnt/cache"
    Path(folder, "pip.conf").write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in values.items()))
    sys.stdout.write(" ".join(f"--volume {mount}" for mount in mounts))


if __name__ == "__main__":
    main()
