"""What the commands write: also where it cannot be written, and where the terminal has few letters."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper


def speaking(command: Callable[[], int]) -> int:
    """Run a command that writes to the output. Returns its exit status: 1 where nothing can be written there.

    A letter that the output has none for is shown as ``?``.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        status = command()
        sys.stdout.flush()
    except OSError as error:
        _leave_output()
        with suppress(OSError, ValueError):
            sys.stderr.write(f"the output cannot be written: {error.strerror or type(error).__name__}\n")
        return 1
    return status


def _leave_output() -> None:
    """Have what is left to be written go nowhere: Python writes it at its end, and would complain."""
    with suppress(OSError, ValueError):  # it is of no file, or closed
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
