"""Connections to Redis on the blocking face, made as those of the program's own client, and bounded by the wall clock.

The client's settings (address, TLS, user, password) are taken over; its time-outs and retries are not, for a cache must not
be waited for. It must not know what is asked.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ConnectionError as Broken
from redis.exceptions import ResponseError

from dynamorm.effects import Call
from dynamorm.errors import ConfigError

from .patience import STEPS, Budget, Idle, OutOfTime, end_of_caller, is_elsewhere, is_late

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
    """A socket whose every read and write ends with the budget of the command, however the bytes trickle."""

    def __init__(self, sock: Any, timeout: float) -> None:
        self._sock = sock
        self.budget = Budget(timeout, None)

    def settimeout(self, timeout: float | None) -> None:
        """The budget stands."""

    def recv(self, *args: Any) -> Any:
        return self._received(self._sock.recv, args)

    def recv_into(self, *args: Any) -> Any:
        return self._received(self._sock.recv_into, args)

    def _received(self, receive: Any, args: tuple[Any, ...]) -> Any:
        while True:
            self._sock.settimeout(self.budget.part())
            with suppress(TimeoutError):  # a step is over
                return receive(*args)

    def sendall(self, data: Any) -> Any:
        self._sock.settimeout(self.budget.whole())
        return self._sock.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _bounded(connection_class: Any, timeout: float) -> Any:
    """The class of connections with such sockets."""

    class Connection(connection_class):  # type: ignore[misc] # the class of the program's client
        bounded: Any = None
        caller: float | None = None

        def _connect(self) -> Any:
            self.bounded = _Bounded(super()._connect(), timeout)
            self.bounded.budget = Budget(timeout, self.caller)
            return self.bounded

    return Connection


class Link:
    """Sends commands from any number of threads. ``ask`` is a flow, and raises what redis raises, and `OutOfTime`."""

    def __init__(self, client: Any, timeout: float) -> None:
        connection_class, self._settings = settings_of(client, timeout)
        self._class = _bounded(connection_class, timeout)
        self._timeout = timeout
        self._idle = Idle()
        self._lock = Lock()
        self._class(**self._settings)  # no I/O: settings that do not fit fail here

    def ask(self, *command: Any) -> Flow[Any]:
        """The answer to one command."""
        end = end_of_caller()
        kept = self._idle.take()
        if kept is not None:
            with suppress(Broken):  # it was closed by the other side while nobody used it
                return (yield Call(partial(self._exchange, *kept, command, end)))
        opened = yield from self._opened(end)
        return (yield Call(partial(self._exchange, *opened, command, end)))

    def _opened(self, end: float | None) -> Flow[tuple[int, Any]]:
        """A new connection, made in a thread: nothing else bounds the look-up of a name."""
        began, era = monotonic(), self._idle.era
        until = began + self._timeout if end is None else min(began + self._timeout, end)
        try:
            return era, (yield Call(partial(self._open, end), timeout=max(until - began, 0.0)))
        except Exception as error:
            if is_late(error) and (until == end or monotonic() > until + self._timeout / STEPS):
                raise OutOfTime from None  # the caller's time was over, or this thread was kept from its turn
            raise

    def _open(self, end: float | None) -> Any:
        connection = self._class(**self._settings)
        connection.caller = end
        connection.connect()
        return connection

    def _exchange(self, era: int, connection: Any, command: tuple[Any, ...], end: float | None) -> Any:
        budget = connection.bounded.budget = Budget(self._timeout, end)
        try:
            connection.send_packed_command(connection.pack_command(*command), check_health=False)
            answer = connection.read_response(disable_decoding=True)
        except BaseException as error:
            if isinstance(error, ResponseError) and not is_elsewhere(error):
                self._give(era, connection)
                raise
            connection.disconnect()
            if budget.is_own:
                raise OutOfTime from None
            if is_elsewhere(error) or is_late(error):
                self._incident(era)
            raise
        self._give(era, connection)
        return answer

    def _incident(self, era: int) -> None:
        with self._lock:
            ended = self._idle.incident(era)
        for connection in ended:
            connection.disconnect()

    def _give(self, era: int, connection: Any) -> None:
        with self._lock:
            kept = self._idle.give(era, connection, MAX_IDLE)
        if not kept:
            connection.disconnect()

    def close(self, db: Any) -> None:
        """End the connections that are kept, when ``db`` is closed."""
        del db
        while (kept := self._idle.take()) is not None:
            kept[1].disconnect()

    def forked(self) -> None:
        """Start again in a child process: the connections belong to the parent."""
        self._idle, self._lock = Idle(), Lock()
