"""The blocking driver: performs a flow's effects with plain sockets, in the caller's thread.

Sockets are non-blocking and every wait is a ``poll`` for what is left of the attempt, so that a deadline is one of
wall-clock time however the bytes trickle. It must not know DynamoDB.
"""

from __future__ import annotations

import threading
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dynamorm.effects import Call, Flow, Gather, Reply, Send, Sleep, TransportError
from dynamorm.errors import ConfigError
from dynamorm.io import net
from dynamorm.io.dial import Connection, dial
from dynamorm.io.gather import Crew
from dynamorm.io.tls import settings_for
from dynamorm.wire.http1 import Exchange
from dynamorm.wire.pool import MAX_AGE, MAX_CONNECTIONS, MAX_IDLE, MAX_QUIET, Grant, Pool

if TYPE_CHECKING:
    from dynamorm.io.proxy import Proxy
    from dynamorm.io.tls import TLSSettings
    from dynamorm.wire.endpoint import Endpoint
    from dynamorm.wire.pool import Wake

T = TypeVar("T")

_CALM: Final = 1.0  # seconds for which a look for handlers of signals is believed
_ENOUGH: Final = 200  # exchanges after which it pays to look again: it costs 0.1 ms
_CHUNK: Final = 65536  # a larger buffer comes from mmap, which costs more than the second read of a large answer


class _Waiter:
    """A thread that waits for a slot."""

    __slots__ = ("bell", "grant")

    def __init__(self) -> None:
        self.bell = threading.Lock()
        self.bell.acquire()
        self.grant: Connection | Grant = Grant.WAIT


class Blocking:
    """Performs flows for any number of threads over one pool of connections to one endpoint.

    ``connection_timeout`` (seconds) covers waiting for a slot, the name look-up, TCP and TLS. ``resolver`` replaces
    the system's name look-up. With a ``proxy`` the endpoint is reached through its tunnel. Safe to use from threads; a child process starts with an empty pool.

    Example: ``Blocking(Endpoint.parse("https://dynamodb.eu-west-1.amazonaws.com")).run(flow)``
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_connections: int = MAX_CONNECTIONS,
        max_idle: int = MAX_IDLE,
        max_age: float = MAX_AGE,
        max_quiet: float = MAX_QUIET,
        connection_timeout: float = 5.0,
        tls: TLSSettings | None = None,
        resolver: net.Resolve | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._limits = max_connections, max_idle, max_age, max_quiet
        self._patience = connection_timeout
        self._tls = settings_for(endpoint, tls)
        self._proxy = proxy
        self._names = net.Names(endpoint if proxy is None else proxy.endpoint, resolver, connection_timeout)
        self._live: set[Connection] = set()
        self._start()
        net.watch_forks(self)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._main = threading.main_thread().ident
        self._calm = 0.0  # until when nobody is believed to handle signals
        self._unsure = 0  # exchanges since that ended
        self._crew = Crew()
        self._pool: Pool[Connection, _Waiter] = Pool(*self._limits)

    def forked(self) -> None:
        """Start anew in a child process: the connections belong to the parent."""
        closed = self._pool.closed
        for connection in self._live:
            net.disown(connection.fileno)
            connection.sock.close()  # of the copy that leads nowhere: else it is closed with a ResourceWarning
        self._live.clear()
        self._names.reset()
        self._start()
        self._pool.closed = closed

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end; returns or raises what it does."""
        try:
            effect = next(flow)
            while True:
                try:
                    got = self.exchange(effect) if effect.__class__ is Send else self._perform(effect)
                except BaseException as error:  # noqa: BLE001 (the flow decides, also about KeyboardInterrupt)
                    effect = flow.throw(error)
                else:
                    effect = flow.send(got)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # StopIteration is not generic; it is the flow's T

    def _perform(self, effect: Any) -> Any:
        if effect.__class__ is Sleep:
            return sleep(effect.seconds)
        if effect.__class__ is Call:
            return effect.sync()
        if effect.__class__ is Gather:
            return self._crew.gather(self.run, effect)
        raise TypeError(f"not an effect: {effect!r}")

    def exchange(self, send: Send) -> Reply:
        """Send a request and return its answer. Raises: `TransportError`."""
        now = monotonic()
        deadline = now + send.timeout
        with self._lock:
            got = self._pool.take(now)
        if not isinstance(got, Connection) or got.ready(0):
            got = self._obtain(got, now, deadline)
            now = 0.0  # that may have taken any time
        connection = got
        answer = Exchange(send.largest)
        try:
            data, flags, timeout = send.data, connection.flags, send.timeout
            try:
                count = connection.send(data, flags)
            except OSError:
                count = 0  # met again in send_rest, which tells "not now" from "never"
            if count != len(data):
                connection.send_rest(data, count, deadline)
                now = 0.0
            ready, recv = connection.ready, connection.recv
            # Only at first is all of the time left, for which the socket itself can wait.
            alone = flags and now and connection.used and (now < self._calm or self._undisturbed(now))
            if alone and connection.patience != timeout:
                connection.wait_for(timeout)
            while True:
                if not alone:
                    left = deadline - monotonic()
                    if left <= 0 or not ready(left * 1000):
                        raise _late(send)  # noqa: TRY301 (a call less on the hot path)
                try:
                    if alone:
                        alone = False
                        data = recv(_CHUNK)
                    else:
                        data = recv(_CHUNK, flags)
                except OSError as error:
                    connection.not_received(error, deadline, started=answer.started)
                    continue
                if not data:
                    raise _ended(connection, answer)  # noqa: TRY301 (likewise)
                if answer.feed(data):
                    break
        except BaseException:
            self._discard(connection)
            raise
        answer.origin = connection
        if answer.reusable:
            self._give(connection)
        else:
            self._discard(connection)
        return answer

    def _undisturbed(self, now: float) -> bool:
        """Whether no signal can make this thread's calls of ``recv`` wait anew, each for the whole of their time."""
        if threading.get_ident() != self._main:
            return True  # the system gives signals to the main thread
        self._unsure += 1
        if self._unsure < _ENOUGH:
            return False
        self._unsure = 0
        if net.handles_signals():
            return False
        self._calm = now + _CALM
        return True

    def _obtain(self, got: Connection | Grant, now: float, deadline: float) -> Connection:
        """Whatever it takes to get a connection: waiting for a slot, opening one."""
        limit = min(deadline, now + self._patience)
        if got is Grant.WAIT:
            got = self._wait(limit)
        if isinstance(got, Connection):
            if not got.ready(0):
                return got
            self._close(got)  # readable without a question: closed by the other side, or not to be trusted
        elif got is Grant.CLOSED:
            raise ConfigError("this database was closed")
        try:
            connection = dial(self._endpoint, self._names, self._tls, limit, self._proxy)
        except BaseException:
            self._free()
            raise
        with self._lock:
            self._live.add(connection)
        return connection

    def _wait(self, limit: float) -> Connection | Grant:
        waiter = _Waiter()
        with self._lock:
            got = self._pool.take(monotonic())  # a slot may have become free since
            if got is not Grant.WAIT:
                return got
            self._pool.wait(waiter)
        try:
            if waiter.bell.acquire(timeout=max(0.0, limit - monotonic())):
                return waiter.grant
        except BaseException:
            if not self._gave_up(waiter):
                self._return(waiter.grant)
            raise
        if self._gave_up(waiter):
            raise TransportError("pool", f"all {self._limits[0]} connections stayed busy", sent=False)
        return waiter.grant

    def _gave_up(self, waiter: _Waiter) -> bool:
        with self._lock:
            return self._pool.forget(waiter) or waiter.grant is Grant.CLOSED

    def _return(self, grant: Connection | Grant) -> None:
        if isinstance(grant, Connection):
            self._discard(grant)
        elif grant is Grant.OPEN:
            self._free()

    def _give(self, connection: Connection) -> None:
        connection.used = True
        with self._lock:
            wake = self._pool.give(connection, monotonic())
            if wake is not None:
                _ring(wake)
        if self._pool.doomed:
            self._bury()

    def _free(self) -> None:
        with self._lock:
            _ring(self._pool.lost())

    def _discard(self, connection: Connection) -> None:
        self._close(connection)
        self._free()

    def _close(self, connection: Connection) -> None:
        self._live.discard(connection)
        connection.sock.close()

    def _bury(self) -> None:
        with self._lock:
            doomed, self._pool.doomed = self._pool.doomed, []
        for connection in doomed:
            self._close(connection)

    def close(self) -> None:
        """Close what is idle; connections in use are closed after their exchange. Later use raises."""
        with self._lock:
            for waiter in self._pool.close():
                _ring((waiter, Grant.CLOSED))
        self._bury()
        self._crew.dismiss()


def _ring(wake: Wake[_Waiter, Connection]) -> None:
    if wake is not None:
        waiter = wake[0]
        waiter.grant = wake[1]
        waiter.bell.release()


def _late(send: Send) -> TransportError:
    return TransportError("timeout", f"no complete answer within {send.timeout:.3f} s", sent=True)


def _ended(connection: Connection, answer: Exchange) -> BaseException:
    if not answer.started and connection.used:
        return TransportError("receive", "the idle connection had been closed", sent=True, fresh=False)
    try:
        answer.eof()
    except TransportError as error:
        return error
    raise AssertionError  # eof() always raises
