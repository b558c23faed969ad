"""Connections to Redis on the blocking face, made as those of the program's own client, and bounded by the wall clock.

The client's settings (address, TLS, user, password) are taken over; its time-outs and retries are not, for a cache must not
be waited for. It must not know what is asked.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ConnectionError as Broken
from redis.exceptions import ResponseError

from dynamorm.effects import Call
from dynamorm.errors import ConfigError

if TYPE_CHECKING:
    from dynamorm.effects import Flow

MAX_IDLE: Final = 64
"""Connections that are kept for the next command."""
_OWN: Final = ("maint_notifications", "oss_cluster", "orig_", "himport", "cache", "event_dispatcher", "retry")
"""How settings begin that belong to the client's own pool."""


def settings_of(client: Any, timeout: float) -> tuple[Any, dict[str, Any]]:
    """The class and the settings of a client's connections, with our own limits. Raises: ConfigError."""
    pool = getattr(client, "connection_pool", None)
    if pool is None or not hasattr(pool, "connection_kwargs"):
        raise ConfigError(
            f"CachingPlugin takes a client of one Redis, redis.Redis(...) or one of a Sentinel, not {type(client).__name__}:"
            " a cluster keeps the keys of one answer in several places"
        )
    settings = {name: value for name, value in pool.connection_kwargs.items() if not name.startswith(_OWN)}
    settings |= {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": 0,
        "decode_responses": False,
        "protocol": 2,  # without messages that nobody asked for
    }
    return pool.connection_class, settings


class _Bounded:
    """A socket whose every read and write ends at the connection's deadline, however the bytes trickle."""

    def __init__(self, sock: Any, timeout: float) -> None:
        self._sock = sock
        self.deadline = monotonic() + timeout

    def _limit(self) -> None:
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError("Redis took too long")
        self._sock.settimeout(left)

    def settimeout(self, timeout: float | None) -> None:
        """The deadline stands."""

    def recv(self, *args: Any) -> Any:
        self._limit()
        return self._sock.recv(*args)

    def recv_into(self, *args: Any) -> Any:
        self._limit()
        return self._sock.recv_into(*args)

    def sendall(self, data: Any) -> Any:
        self._limit()
        return self._sock.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _bounded(connection_class: Any, timeout: float) -> Any:
    """The class of connections with such sockets."""

    class Connection(connection_class):  # type: ignore[misc] # the class of the program's client
        bounded: Any = None

        def _connect(self) -> Any:
            self.bounded = _Bounded(super()._connect(), timeout)
            return self.bounded

    return Connection


class Link:
    """Sends commands from any number of threads. ``ask`` is a flow, and raises what redis raises."""

    def __init__(self, client: Any, timeout: float) -> None:
        connection_class, self._settings = settings_of(client, timeout)
        self._class = _bounded(connection_class, timeout)
        self._timeout = timeout
        self._idle: deque[Any] = deque()
        self._pid = os.getpid()
        self._class(**self._settings)  # no I/O: settings that do not fit fail here

    def ask(self, *command: Any) -> Flow[Any]:
        """The answer to one command."""
        connection = self._take()
        if connection is not None:
            with suppress(Broken):  # it was closed by the other side while nobody used it
                return (yield Call(partial(self._exchange, connection, command)))
        # In a thread: nothing else bounds the look-up of a name.
        connection = yield Call(self._open, timeout=self._timeout)
        return (yield Call(partial(self._exchange, connection, command)))

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _open(self) -> Any:
        connection = self._class(**self._settings)
        connection.connect()
        return connection

    def _exchange(self, connection: Any, command: tuple[Any, ...]) -> Any:
        connection.bounded.deadline = monotonic() + self._timeout
        try:
            connection.send_packed_command(connection.pack_command(*command), check_health=False)
            answer = connection.read_response(disable_decoding=True)
        except ResponseError:
            self._give(connection)
            raise
        except BaseException:
            connection.disconnect()
            raise
        self._give(connection)
        return answer

    def _give(self, connection: Any) -> None:
        if len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.disconnect()

    def close(self, db: Any) -> None:
        """End the connections that are kept, when ``db`` is closed."""
        del db
        while (connection := self._take()) is not None:
            connection.disconnect()

    def forked(self) -> None:
        """Start again in a child process: the connections belong to the parent."""
        self._idle = deque()
