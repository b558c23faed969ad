"""The blocking driver: performs a flow's effects with plain sockets, in the caller's thread.

Sockets are non-blocking and every wait is a ``poll`` for what is left of the attempt, so that a deadline is one of
wall-clock time however the bytes trickle. It must not know DynamoDB.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from copy import copy
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dynamorm.effects import Call, Flow, Gather, Reply, Send, Sleep, TransportError
from dynamorm.errors import ConfigError
from dynamorm.io import net
from dynamorm.io.dial import Connection, dial
from dynamorm.io.gather import Crew
from dynamorm.io.threads import within
from dynamorm.io.tls import settings_for
from dynamorm.wire.http1 import Exchange, repeated
from dynamorm.wire.pool import MAX_AGE, MAX_CONNECTIONS, MAX_IDLE, MAX_QUIET, Pool

if TYPE_CHECKING:
    from dynamorm.io.proxy import Proxy
    from dynamorm.io.tls import TLSSettings
    from dynamorm.wire.endpoint import Endpoint
    from dynamorm.wire.pool import Slot

T = TypeVar("T")

_CHUNK: Final = 65536  # a larger buffer comes from mmap, which costs more than the second read of a large answer


class _Waiter:
    """A thread that waits for a slot."""

    __slots__ = ("bell", "box")

    def __init__(self) -> None:
        self.bell = threading.Lock()
        self.bell.acquire()
        self.box: deque[Slot[Connection]] = deque()

    def ring(self) -> None:
        with suppress(RuntimeError):  # it was rung already
            self.bell.release()


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
        self._start()
        net.watch_forks(self)

    def _start(self) -> None:
        self._crew = Crew()
        self._pool: Pool[Connection] = Pool(*self._limits)

    def over(self, pool: Any) -> Blocking:
        """The same driver over what stands in for its pool."""
        other = copy(self)
        other._pool = pool  # noqa: SLF001 - another driver
        return other

    @property
    def pool(self) -> Pool[Connection]:
        """The connections: to be looked at."""
        return self._pool

    @property
    def _live(self) -> list[Connection]:
        """The connections that are open."""
        return [slot.connection for slot in self._pool.slots() if slot.connection is not None]

    def forked(self) -> None:
        """Start again in a child process: the connections belong to the parent."""
        closed = self._pool.closed
        for connection in self._live:
            net.disown(connection.fileno)
            connection.sock.close()  # of the copy that leads nowhere: else it is closed with a ResourceWarning
        self._names.reset()
        self._start()
        self._pool.closed = closed

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end; returns or raises what it does."""
        try:
            effect = next(flow)
            while True:
                # In one line: an exception at a line with nothing but "try" would pass by the handlers around it.
                try: got = self.exchange(effect) if effect.__class__ is Send else self._perform(effect, flow)  # fmt: skip  # noqa: E701 - see above
                except BaseException as error:  # noqa: BLE001 (the flow decides, also about KeyboardInterrupt)
                    effect = flow.throw(error)
                else:
                    effect = flow.send(got)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # StopIteration is not generic; it is the flow's T
        except BaseException:
            # The flow's own, which has ended it; or one that came between two effects, of which it knows nothing.
            got = None  # it may be a permit, and who keeps the exception keeps this frame
            flow.close()
            raise

    def _perform(self, effect: Any, flow: Flow[Any]) -> Any:
        if effect.__class__ is Sleep:
            return sleep(effect.seconds)
        if effect.__class__ is Call:
            return effect.sync() if effect.timeout is None else within(effect.sync, effect.timeout)
        if effect.__class__ is Gather:
            return self._crew.gather(self.run, effect)
        from .hedge import performed  # only where a plugin hedges, has a limiter, or has made a mistake

        return performed(self, self._crew, effect, flow)

    def exchange(self, send: Send) -> Reply:
        """Send a request and return its answer. Raises: `TransportError`."""
        now = monotonic()
        deadline = now + send.timeout
        pool = self._pool
        slot: Slot[Connection] | None = None
        held = True  # False from when the slot goes back: if it does not get there, it is found missing
        # Whoever holds the slot stays in one frame.
        try:  # around both the taking and the giving, for a signal's handler may raise an exception anywhere
            try:
                try:
                    if not pool.waiters:
                        slot = pool.idle.pop()
                except IndexError:
                    pass
                while (
                    slot is None
                    or now - slot.since >= pool.max_quiet
                    or now - slot.born >= pool.max_age
                    or slot.connection.ready(0)  # type: ignore[union-attr]  # an idle slot has one
                ):
                    if slot is not None:
                        pool.drop(slot)  # readable without a question: closed by the other side, or not to be trusted
                    limit = min(deadline, now + self._patience)
                    slot = pool.take() or self._wait(pool, limit)
                    if slot.connection is None:
                        slot.connection = dial(self._endpoint, self._names, self._tls, limit, self._proxy)
                        slot.born = slot.connection.born
                        break
                connection: Any = slot.connection
                answer = _answered(connection, send, deadline)
                answer.origin = connection
                if answer.reusable:
                    connection.used = True
                    slot.since = now = monotonic()
                    held = False
                    pool.idle.append(slot)
                    if len(pool.idle) > pool.few or pool.waiters or pool.closed:
                        pool.settle(now)
                else:
                    pool.drop(slot)
            except BaseException:
                if held and slot is not None:
                    pool.drop(slot)
                raise
        except BaseException:  # once more, if an exception came while the first was dealt with
            if held and slot is not None:
                pool.drop(slot)
            slot = None
            raise
        return answer

    def _wait(self, pool: Pool[Connection], limit: float) -> Slot[Connection]:
        """Wait for a slot. Raises: `TransportError` when none came in time, `ConfigError` when the driver is closed."""
        waiter = _Waiter()
        begun = monotonic()
        try:
            try:
                pool.waiters.append(waiter)
                pool.serve()  # something may have become free since
                while not waiter.box:
                    left = limit - monotonic()
                    if pool.closed:
                        raise ConfigError("this database was closed")
                    if left <= 0:
                        pool.note(monotonic() - begun)
                        raise TransportError("pool", f"all {pool.max_connections} connections stayed busy", sent=False)
                    if not waiter.bell.acquire(timeout=min(left, pool.patience())):
                        pool.look(waiter)
                pool.note(monotonic() - begun)
                return waiter.box.pop()
            finally:
                pool.leave(waiter)
        except BaseException:  # once more, if an exception came while he left
            pool.leave(waiter)
            raise

    def close(self) -> None:
        """Close what is idle; connections in use are closed after their exchange. Later use raises."""
        self._pool.close()
        self._crew.dismiss()


def _answered(connection: Any, send: Send, deadline: float) -> Exchange:
    """Send the request, and read its whole answer. Raises: `TransportError`."""
    answer = Exchange(send.largest)
    data = send.data
    # In one line: an exception at a line with nothing but "try" would pass by the handlers around it.
    try: count = connection.send(data)  # fmt: skip  # noqa: E701 - see above
    except OSError as error:
        count = connection.not_sent(error)
    if count != len(data):
        connection.send_rest(data, count, deadline)
    ready, recv = connection.ready, connection.recv
    while True:
        left = deadline - monotonic()
        if left <= 0 or not ready(left * 1000):
            raise _late(send)
        try: data = recv(_CHUNK)  # fmt: skip  # noqa: E701 - see above
        except OSError as error:
            connection.not_received(error, deadline, started=answer.started)
            continue
        if not data:
            raise _ended(connection, answer)
        if answer.feed(data):
            break
    if answer.raw_id is not None:
        if answer.raw_id == connection.last_id:
            raise repeated()
        connection.last_id = answer.raw_id
    return answer


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
