"""Environments of their own, for libraries that are compared with ours but whose dependencies don't fit into ours: .bench/NAME."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from measuring import CannotMeasure, note


def own_python(folder: Path, requirements: list[str]) -> Path:
    """The Python of an environment with these requirements (NAME==VERSION), which is made if it isn't there.

    Raises:
        CannotMeasure: pip could not install them; the message has its last line.
    """
    python = folder / "bin/python"
    if python.exists() and _installed(python, requirements):
        return python
    note(f"  installing {' '.join(requirements)} into {folder}")
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], capture_output=True, text=True, check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
        subprocess.run(install, capture_output=True, text=True, check=True, timeout=1800)
    except (subprocess.SubprocessError, OSError) as error:
        output = str(getattr(error, "stderr", "") or error).strip().splitlines() or [str(error)]
        raise CannotMeasure(f"{requirements[0]} can't be installed: {output[-1][:200]}") from error
    return python


def _installed(python: Path, requirements: list[str]) -> bool:
    pairs = [requirement.partition("==")[::2] for requirement in requirements]
    program = f"from importlib.metadata import version\nassert all(version(name) == wanted for name, wanted in {pairs})"
    return subprocess.run([str(python), "-c", program], capture_output=True, check=False).returncode == 0
