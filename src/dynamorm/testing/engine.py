"""A DynamoDB engine's life as a child process on loopback. It must not know which engine, nor of ours beyond errors.

An engine ends with the process that started it, even when that is killed (see watchdog.py), and a failed start shows
what the engine itself had to say.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import pathlib
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import ClassVar, Self

from dynamorm.errors import ConfigError
from dynamorm.testing.watchdog import FOLDER, PREFIX

HOST = "127.0.0.1"
_PORTS = range(20_000, 32_768)  # below Linux's ephemeral range, so that no outgoing connection takes the port first
_PORT_TRIES = 100
_START_TRIES = 4  # another process may still take the port between our look and the engine's bind
_POLL = 0.02
_SETTLE = 0.2  # an engine that lost the port to a stranger ends itself well within this
_LOG_TAIL = 2_000
_ASK_TIMEOUT = 2.0
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "HOME", "LANG", "JAVA_HOME")


class Engine:
    """A DynamoDB engine in a child process: start it by constructing it, end it with `stop` or ``with``.

    ``endpoint`` is its URL (``"http://127.0.0.1:PORT"``), ``port`` the port, ``pid`` the child's process id.
    This is the common part; use `Ministack` or `DynamoDBLocal`.

    Raises `ConfigError` when the engine is not installed or does not answer within ``start_timeout`` seconds.

    Example::

        with Ministack() as engine:
            client = boto3.client("dynamodb", endpoint_url=engine.endpoint, ...)
    """

    name: ClassVar[str] = "engine"

    def __init__(self, *, start_timeout: float = 30.0) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
        self._identity = secrets.token_hex(8)
        self.port: int = 0
        try:
            self._start(time.monotonic() + start_timeout)
        except BaseException:
            self.stop()
            raise

    @property
    def endpoint(self) -> str:
        """The engine's URL, e.g. ``"http://127.0.0.1:24817"``."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The child's process id; None once stopped."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """The last 2,000 characters of what the engine wrote to its standard output and error."""
        with contextlib.suppress(OSError):
            return (self._folder / "log").read_text("utf-8", "replace")[-_LOG_TAIL:].strip()
        return ""

    def stop(self) -> None:
        """End the engine and delete its temporary folder. Calling it again does nothing."""
        process, self._process = self._process, None
        if self._owner != os.getpid():
            _forget(process)  # a forked child: the engine is its parent's
            return
        if process is not None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Return the running engine."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the engine."""
        self.stop()

    def __del__(self) -> None:
        """End the child with its last reference; `stop` is the tidy way."""
        if getattr(self, "_process", None) is not None:
            self.stop()

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {}

    def _cwd(self) -> pathlib.Path:
        return self._folder

    def _is_ours(self) -> bool:
        """Whether what answers on the port is the child. Called once it answers."""
        time.sleep(_SETTLE)
        return True

    def _start(self, deadline: float) -> None:
        for attempt in range(1, _START_TRIES + 1):
            self.port = _free_port()
            self._launch()
            if self._answers(deadline):
                return
            gave_up = "it ended" if self._ended() else "it did not answer in time"
            if attempt == _START_TRIES or not self._ended() or time.monotonic() >= deadline:
                raise ConfigError(
                    f"{self.name} could not be started on {self.endpoint}: {gave_up}. It said: {self.log!r}"
                )
            self._discard()

    def _launch(self) -> None:
        kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        watchdog = pathlib.Path(__file__).with_name("watchdog.py")
        with (self._folder / "log").open("ab") as log:
            # -P keeps the folder of watchdog.py off the import path, where our modules could shadow the engine's.
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(watchdog), *self._command()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._cwd(),
                env=kept | {"TMPDIR": str(self._folder), FOLDER: str(self._folder)} | self._environment(),
            )

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _discard(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process = None

    def _answers(self, deadline: float) -> bool:
        while time.monotonic() < deadline and not self._ended():
            if lists_tables(self.port) and self._is_ours() and not self._ended():
                return True
            time.sleep(_POLL)
        return False


def _forget(process: subprocess.Popen[bytes] | None) -> None:
    """Let go of another process's child, without the warning that it still runs."""
    if process is not None:
        process.returncode = 0
        if process.stdin is not None:
            process.stdin.close()


def _free_port() -> int:
    for _ in range(_PORT_TRIES):
        port = random.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise ConfigError(f"no free port between {_PORTS.start} and {_PORTS.stop - 1}")


def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Make one HTTP exchange with an engine: its status and body, or 0 and nothing when there is no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_ASK_TIMEOUT)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def lists_tables(port: int) -> bool:
    """Whether an engine answers at a port of this machine."""
    scope = "AWS4-HMAC-SHA256 Credential=local/20200101/us-east-1/dynamodb/aws4_request"
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
        "Authorization": f"{scope}, SignedHeaders=host, Signature=0",  # the engines read the Region, no more
    }
    status, body = ask(port, "POST", "/", b"{}", headers)
    return status == http.client.OK and b"TableNames" in body
