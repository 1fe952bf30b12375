"""Convert exceptions into exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click
from lengthen.common.process.errors import Stopped, TransientError, UserError


def with_exit_codes(work: Callable[[], None]) -> None:
    """Run, and exit on an expected error with one line and its code. A bug keeps its traceback (README, "Exit codes")."""
    try:
        work()
    except (UserError, TransientError, Stopped) as error:
        click.echo(f"error: {error}" if not isinstance(error, Stopped) else str(error), err=True)
        sys.stderr.flush()
        sys.exit(error.exit_code)
