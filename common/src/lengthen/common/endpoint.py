"""What every client of an OpenAI-compatible endpoint shares: its key, and errors on one line without it."""

from __future__ import annotations

import os

from lengthen.common.errors import UserError

NO_KEY = "none-needed"


def api_key(variable: str | None, setting: str) -> str:
    """The key that an environment variable holds; `setting` is the config's path that names the variable.

    Raises:
        UserError: the variable is not set.
    """
    if variable is None:
        return NO_KEY
    if key := os.environ.get(variable):
        return key
    raise UserError(f"{setting}: the environment variable {variable} is not set; export it")


def said(error: Exception, key: str) -> str:
    """What a server said, on one line; servers like to repeat the key."""
    return " ".join(str(error).split()).replace(key, "***")[:200]
