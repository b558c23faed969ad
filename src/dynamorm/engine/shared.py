"""An engine that a process and its children share: the process asks it directly, its children over HTTP. It knows no requests.

What waits for a child is one thread that does nothing; asyncio is loaded when the first one comes.
"""

from __future__ import annotations

import atexit
import http.client
import os
import select
import socket
import threading
from importlib import import_module
from typing import Any, Final

from dynamorm.engine.engine import Engine, engine_at
from dynamorm.engine.faulty import Faulty
from dynamorm.engine.refusal import Refusal
from dynamorm.engine.store.undo import Snapshot
from dynamorm.errors import ConfigError

INHERITED: Final = "_DYNAMORM_EMBEDDED_ENGINE"
"""The environment variable by which a child process finds the engine of its parent. Of no meaning to `Config`."""

_HOST: Final = "127.0.0.1"
_SIGNED: Final = (
    "AWS4-HMAC-SHA256 Credential=local/20240101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
)
_PATIENCE: Final = 30.0
_LOOK: Final = 2.0


class SharedEngine(Engine):
    """An `Engine` in memory whose ``address`` is reached from other processes too, until it is closed.

    A child that is forked goes on with the engine of its parent.

    Example: ``with SharedEngine() as engine: run_child(environ={"DYNAMODB_ENDPOINT": engine.address})``
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._parent: int | None = None
        self._listening = socket.create_server((_HOST, 0), backlog=128)
        self._bell, self._ringer = socket.socketpair()
        self.known_at(f"http://{_HOST}:{self._listening.getsockname()[1]}")
        self._waiter: threading.Thread | None = threading.Thread(
            target=self._wait, daemon=True, name="dynamorm-engine-children"
        )
        self._waiter.start()

    @property
    def endpoint(self) -> str:
        """The address."""
        return self.address

    def handle(
        self, target: str, body: bytes, *, strict: bool = False, access_key: str | None = None
    ) -> tuple[int, bytes]:
        """Answer one request; everything is as with `Engine.handle`.

        Example: ``engine.handle("ListTables", b"{}")``
        """
        if self._parent is None:
            return super().handle(target, body, strict=strict, access_key=access_key)
        if self.closed:
            raise ConfigError("this engine was closed")
        return _asked_or_unavailable(self.address, target, body)

    def snapshot(self) -> Snapshot:
        """What the engine holds now; everything is as with `Engine.snapshot`.

        Example: ``start = engine.snapshot()``
        """
        self._own()
        return super().snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Make everything as it was; everything is as with `Engine.restore`.

        Example: ``engine.restore(start)``
        """
        self._own()
        super().restore(snapshot)

    def expire_now(self) -> int:
        """Delete what has expired; everything is as with `Engine.expire_now`.

        Example: ``engine.expire_now()``
        """
        self._own()
        return super().expire_now()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything into a new file; everything is as with `Engine.save`.

        Example: ``engine.save("dev.db")``
        """
        self._own()
        super().save(path)

    def _own(self) -> None:
        if self._parent is not None:
            raise ConfigError(f"this engine is that of the parent process, {self._parent}: ask it there")

    def close(self) -> None:
        """End the engine. In a child it goes on for the parent.

        Example: ``engine.close()``
        """
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._ringer.send(b"x")
            waiter.join()
            self._listening.close()  # the server has closed it already where there was one
            self._bell.close()
            self._ringer.close()
        super().close()

    def forked(self) -> None:
        """Go on with the engine of the parent in a child process.

        Example: none is needed, for every fork calls it.
        """
        super().forked()
        self._waiter = None
        if self._parent is None:
            self._parent = os.getppid()
            self.trouble: Faulty | None = None  # requests meet the faults where they are answered
            for sock in (self._listening, self._bell, self._ringer):
                sock.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process as an address."""
        return _elsewhere, (self.address, self.region)

    def _wait(self) -> None:
        """Begin to serve when the first child comes, or end."""
        ready, _, _ = select.select([self._listening, self._bell], [], [])
        if self._bell not in ready:
            server = import_module("dynamorm.engine.http.server").Server(self, listening=self._listening)
            select.select([self._bell], [], [])
            server.stop()


class EngineElsewhere:
    """The `SharedEngine` of another process, as settings name it there; requests go to it over HTTP.

    Example: ``pickle.loads(pickle.dumps(config)).engine`` in a child process
    """

    closed: bool = False
    trouble: Any = None

    def __init__(self, address: str, region: str) -> None:
        self.address: str = address
        self.region: str = region

    def handle(
        self, target: str, body: bytes, *, strict: bool = False, access_key: str | None = None
    ) -> tuple[int, bytes]:
        """Answer one request; everything is as with `Engine.handle`."""
        del strict, access_key  # over HTTP it always is
        return _asked_or_unavailable(self.address, target, body)

    def __reduce__(self) -> tuple[Any, ...]:
        return _elsewhere, (self.address, self.region)


def _elsewhere(address: str, region: str) -> Any:
    return engine_at(address) or EngineElsewhere(address, region)


def _asked_or_unavailable(address: str, target: str, body: bytes) -> tuple[int, bytes]:
    try:
        return _asked(address, target, body)
    except (OSError, http.client.HTTPException):
        return 503, Refusal("ServiceUnavailable", f"no engine answers at {address}").body()


def _asked(address: str, target: str, body: bytes, patience: float = _PATIENCE) -> tuple[int, bytes]:
    """What the engine at an address answers. Raises: OSError, HTTPException."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=patience)
    try:
        headers = {"Authorization": _SIGNED}
        if target:
            headers["X-Amz-Target"] = target if "." in target else f"DynamoDB_20120810.{target}"
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class _Process:
    """The engine of this process, or the address of its parent's."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.engine: SharedEngine | None = None
        self.inherited = ""


_process: Final = _Process()


def engine_of_process() -> SharedEngine | str:
    """The engine of this process, which is made once; or the address of that of its parent, where there is one."""
    with _process.lock:
        if _process.engine is not None and not _process.engine.closed:
            return _process.engine
        inherited = os.environ.get(INHERITED, "")
        if inherited and (inherited == _process.inherited or _answers(inherited)):
            _process.inherited = inherited
            return inherited
        engine = _process.engine = SharedEngine()
        atexit.register(engine.close)
        # Read at the start of the process: a child that is spawned, and has the local preset, meets the same tables.
        os.environ[INHERITED] = engine.address
        return engine


def _answers(endpoint: str) -> bool:
    """Whether there is an engine at an address: that of a parent may have ended."""
    try:
        status, _ = _asked(endpoint, "ListTables", b"{}", _LOOK)
    except (ValueError, OSError, http.client.HTTPException):
        return False
    return status == http.client.OK
