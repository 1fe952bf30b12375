"""Exit codes, and the exceptions that carry them (README.md, "Exit codes").

An error that the user can correct is printed on one line, with exit code 2. A transient failure, where a retry can succeed, has
exit code 75. A bug has a traceback and Python's exit code 1.
"""

from __future__ import annotations

EXIT_USER = 2
EXIT_TRANSIENT = 75
EXIT_SIGINT = 130
EXIT_SIGTERM = 143


class UserError(Exception):
    """An error that the user can correct. The message says on one line what is wrong, where, and the fix."""

    exit_code = EXIT_USER


class TransientError(Exception):
    """A transient failure: a full disk, a held lock, an endpoint or a device that is not available now. A retry can succeed."""

    exit_code = EXIT_TRANSIENT


class Stopped(Exception):
    """SIGTERM or SIGINT arrived. Finished work is saved."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("stopped by a signal; finished work is saved, and the same command resumes from it")
        self.exit_code = exit_code
