"""A server: the engine answers on a port of this machine, in a thread of its own. It must not know what is asked."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from dynamorm.engine.http.connection import Connection
from dynamorm.engine.http.desk import Desk
from dynamorm.engine.http.signature import Signatures
from dynamorm.errors import ConfigError

_BACKLOG: Final = 1024
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a name, where nothing is bound to it
_LAST_TURNS: Final = 10
"""Of the loop: what was accepted is closed, too."""


class Server:
    """An engine over HTTP/1.1, from construction until `stop`; see `dynamorm.engine.Engine.serve`.

    ``endpoint`` is its URL, ``port`` its port.

    Raises: ConfigError.

    Example: ``with engine.serve() as server: print(server.endpoint)``
    """

    def __init__(
        self,
        engine: Any,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        verify: bool = False,
        keys: Mapping[str, str] | None = None,
        listening: socket.socket | None = None,
        ended: Callable[[Server], None] | None = None,
    ) -> None:
        self._ended = ended
        self._desk = Desk(engine, _signatures(engine, keys, verify=verify))
        self._listening = _listening(host, port) if listening is None else listening
        self.port: int = self._listening.getsockname()[1]
        shown = _EVERYWHERE.get(host, host)
        self.endpoint: str = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}"
        self._connections: set[Connection] = set()
        self._stopping = threading.Lock()
        self._is_stopped = False
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True, name="dynamorm-engine-http")
        self._thread.start()
        started.wait()

    def stop(self) -> None:
        """End the connections, and give the port back; the engine goes on. A second call does nothing.

        Example: ``server.stop()``
        """
        with self._stopping:
            if not self._is_stopped:
                self._is_stopped = True
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                if self._ended is not None:
                    self._ended(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Server at {self.endpoint}{', stopped' if self._is_stopped else ''}>"

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        making = self._loop.create_server(self._connected, sock=self._listening, backlog=_BACKLOG)
        server = self._loop.run_until_complete(making)
        self._loop.call_soon(started.set)
        self._loop.run_forever()
        self._loop.run_until_complete(self._end(server))
        self._loop.close()

    def _connected(self) -> Connection:
        return Connection(self._desk, self._connections)

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        for _ in range(_LAST_TURNS):
            for connection in tuple(self._connections):
                connection.end()
            await asyncio.sleep(0)


def _signatures(engine: Any, keys: Mapping[str, str] | None, *, verify: bool) -> Signatures | None:
    if not verify:
        if keys is not None:
            raise ConfigError("keys are for verify=True: without it no signature is checked")
        return None
    if not keys:
        raise ConfigError("verify=True needs the keys that sign: keys={'access key id': 'secret access key'}")
    return Signatures(keys, engine.region, session=engine.session_of)


def _listening(host: str, port: Any) -> socket.socket:
    """The socket that listens. Raises: ConfigError."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 2**16:
        raise ConfigError(f"port is a number from 0 to 65535, not {port!r}; 0 takes one that is free")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} of {host} is in use: stop what listens there, name another port, or 0 for one that is free"
            ) from error
        raise ConfigError(f"the engine cannot listen at {host}, port {port}: {error.strerror}") from error
    except (UnicodeError, ValueError) as error:
        raise ConfigError(f"host is a name or an address of this machine, not {host!r}") from error
