"""What every client of an OpenAI-compatible endpoint needs: the API key, and error messages that do not contain it."""

from __future__ import annotations

import os

from lengthen.common.process.errors import UserError

NO_KEY = "none-needed"


def api_key(variable: str | None, setting: str) -> str:
    """The key in an environment variable. `setting` is the config path that names the variable.

    Raises:
        UserError: the variable is not set.
    """
    if variable is None:
        return NO_KEY
    if key := os.environ.get(variable):
        return key
    raise UserError(f"{setting}: the environment variable {variable} is not set; export it")


def error_line(error: Exception, key: str) -> str:
    """An error's message on one line, without the API key: servers often repeat it."""
    return " ".join(str(error).split()).replace(key, "***")[:200]
