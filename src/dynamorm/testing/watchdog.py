"""The process an engine runs in, which ends with its parent. A script: it must not import anything of ours.

Its standard input is a pipe whose other end only the parent holds. When the parent ends, however it ends, the pipe
reaches its end and so does the engine. PR_SET_PDEATHSIG alone would not do: it follows the *thread* that started the
process, and an engine is often started from a short-lived one.

Usage: ``watchdog.py --module NAME`` runs a Python module in this very process; ``watchdog.py COMMAND ...`` runs a
program as a child.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import runpy
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h
FOLDER = "DYNAMORM_ENGINE_FOLDER"
PREFIX = "dynamorm-engine-"


def _until_parent_ends(then: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    _remove_folder()
    then()


def _remove_folder() -> None:
    """Delete the temporary folder, which the parent can no longer do."""
    folder = os.environ.get(FOLDER, "")
    if pathlib.Path(folder).name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _guard(then: Callable[[], None]) -> None:
    threading.Thread(target=_until_parent_ends, args=(then,), daemon=True, name="parent-watch").start()


def _die_with_watchdog() -> None:
    """In the child, before exec: a killed watchdog must not leave the program behind (Linux only)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _run_module(name: str) -> None:
    _guard(lambda: os._exit(0))
    sys.argv = [name]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_program(command: list[str]) -> int:
    # No other thread exists yet, so code before exec is safe here; and this thread lives as long as the process.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_watchdog)  # noqa: PLW1509 - no threads yet
    signal.signal(signal.SIGTERM, lambda *_: process.kill())
    _guard(process.kill)
    return process.wait()


def main(arguments: list[str]) -> int:
    """Run what the arguments name until it or the parent ends; returns the exit status."""
    if arguments[:1] == ["--module"]:
        _run_module(arguments[1])
        return 0
    return _run_program(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
