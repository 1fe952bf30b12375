"""Let pip in a build find what pip on this machine finds: prints buildah's options for it.

    python3 stages/pip_here.py FOLDER [--extra-index-url URL]

Writes FOLDER/pip.conf from `pip config list` and mounts it, every file and folder that it names (certificates, local indexes)
and pip's cache, below /mnt. The mounts are gone when the build is done: no image knows of them.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def settings(listing: str) -> dict[str, str]:
    """The lines `section.name='value'` of `pip config list`; the environment (section `:env:`) overrides the files."""
    lines = [line.partition("=") for line in listing.splitlines() if "=" in line]
    lines.sort(key=lambda line: line[0].startswith(":env:"))
    return {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, _, value in lines}


def places(values: dict[str, str]) -> list[str]:
    """The files and folders of this machine that pip's settings name; of a local index what lies beside it, too: its files."""
    found = set()
    for name, value in values.items():
        paths = [Path(word.removeprefix("file://")) for word in value.split()]
        found |= {str(path.parent if "index" in name else path) for path in paths if path.is_absolute() and path.exists()}
    return sorted(found, reverse=True)  # /a/b before /a: the longer one is replaced first


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
    for number, place in enumerate(places(values)):
        mounts.append(f"{place}:/mnt/{number}:ro")
        values = {name: value.replace(place, f"/mnt/{number}") for name, value in values.items()}
    values["cache-dir"] = "/mnt/cache"
    Path(folder, "pip.conf").write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in values.items()))
    sys.stdout.write(" ".join(f"--volume {mount}" for mount in mounts))


if __name__ == "__main__":
    main()
