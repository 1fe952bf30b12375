"""Exit codes, and the exceptions that carry them (README.md, "Exit codes").

A mistake that the user can mend is one clear line and exit 2; a fault that a retry can mend is exit 75; a bug keeps its
traceback and Python's own exit 1.
"""

from __future__ import annotations

EXIT_USER = 2
EXIT_TRANSIENT = 75
EXIT_SIGINT = 130
EXIT_SIGTERM = 143


class UserError(Exception):
    """Something the user can mend: the message says what is wrong, where, and the fix, on one line."""

    exit_code = EXIT_USER


class TransientError(Exception):
    """Something that may be gone on a retry: a full disk, a held lock, an endpoint or a device that went away."""

    exit_code = EXIT_TRANSIENT


class Stopped(Exception):
    """SIGTERM or SIGINT arrived, and what was finished is saved."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("stopped by a signal; finished work is saved, the same command goes on from there")
        self.exit_code = exit_code
