"""Starts the canned DynamoDB: the C server where a C compiler is found, else one over asyncio.

The server is a process of its own, so that its work never counts as a client's. It ends with this process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.payload import Route

HERE = Path(__file__).parent
SOURCE = HERE / "server.c"
CACHE = HERE.parent / ".cache" / "benchmarks"
START_TIMEOUT = 30.0
"""Seconds to build and start: compiling takes about one, loading 50 MB of pages less than one."""


def binary() -> Path | None:
    """The compiled server, built when its source is new; None where that is not possible (no gcc, not Linux)."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    target = CACHE / f"server-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    if target.exists():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    made = target.with_suffix(f".{os.getpid()}")
    built = subprocess.run(
        [compiler, "-O2", "-o", str(made), str(SOURCE)], capture_output=True, timeout=START_TIMEOUT, check=False
    )
    if built.returncode:
        return None
    made.replace(target)  # in one step, for two runs may build at once
    return target


class Server:
    """The canned server as a context manager; ``endpoint`` is its address.

    Example: ``with Server(payload.routes()) as server: connect(server.endpoint)``
    """

    def __init__(self, routes: list[Route], *, compiled: bool = True) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dynamorm-bench-")
        listing = Path(self._folder.name) / "routes"
        listing.write_text("".join(self._store(at, route) for at, route in enumerate(routes)))
        program = binary() if compiled else None
        self.kind = "C, epoll" if program is not None else "asyncio"
        command = [str(program)] if program is not None else [sys.executable, str(HERE / "fallback.py")]
        self._process = subprocess.Popen(  # its standard input ends with us, and it with that
            [*command, str(listing)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError("the canned server did not start")
        self.host, self.port = "127.0.0.1", int(line)
        self.endpoint = f"http://{self.host}:{self.port}"

    def _store(self, at: int, route: Route) -> str:
        paths = []
        for page, body in enumerate(route.pages):
            path = Path(self._folder.name) / f"{at}-{page}"
            path.write_bytes(body)
            paths.append(str(path))
        return "\t".join([route.operation, route.table, *paths]) + "\n"

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def close(self) -> None:
        """End the server and remove its files."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
