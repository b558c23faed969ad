"""On which cores a client and the canned server run while something is measured.

With one request at a time the two take turns anyway. On cores of their own each would wake the other's sleeping core for
every request, which on a virtual machine costs more than all that most clients do themselves, and not the same from one
moment to the next. So they share a core then; with many requests at a time all cores are theirs.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from benchmarks.work import Work

POSSIBLE = hasattr(os, "sched_setaffinity") and Path("/proc/self/task").exists()
"""Whether this system lets us say so."""


class Cores:
    """Places the server and one client after the other; does nothing when ``shared`` is false.

    Example: ``Cores(server.pid).place(worker.pid, BY_NAME["get"])``
    """

    def __init__(self, server: int, *, shared: bool = True) -> None:
        self._server = server
        self._shared = shared and POSSIBLE
        self._all = sorted(os.sched_getaffinity(0)) if POSSIBLE else []

    def place(self, client: int, work: Work) -> None:
        """Say where both run from now on, with every thread that they have."""
        if not self._shared:
            return
        cores = set(self._all if work.tasks > 1 or work.each else self._all[-1:])
        for process in (self._server, client):
            for thread in Path(f"/proc/{process}/task").glob("*"):
                with contextlib.suppress(ProcessLookupError):  # it has ended since
                    os.sched_setaffinity(int(thread.name), cores)
