"""The asyncio driver: performs a flow's effects on one event loop. The only module that imports asyncio.

It must not know DynamoDB. Everything runs in the loop's thread, so the pool needs no lock; what can be cancelled is
written so that a cancellation at any ``await`` gives back exactly what was held.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from dynamorm.effects import Call, Flow, Gather, Reply, Send, Sleep, TransportError
from dynamorm.errors import ConfigError
from dynamorm.io import net
from dynamorm.io.aio_link import Connection, dial
from dynamorm.io.tls import settings_for
from dynamorm.wire.pool import MAX_AGE, MAX_CONNECTIONS, MAX_IDLE, MAX_QUIET, Grant, Pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dynamorm.io.proxy import Proxy
    from dynamorm.io.tls import TLSSettings
    from dynamorm.wire.endpoint import Endpoint
    from dynamorm.wire.pool import Wake

T = TypeVar("T")
_Waiter: TypeAlias = "asyncio.Future[Connection | Grant]"


class Aio:
    """Performs flows for any number of tasks of one event loop, over one pool of connections to one endpoint.

    The arguments are those of `dynamorm.io.blocking.Blocking`. The first use ties the driver to the running loop.

    Example: ``await Aio(Endpoint.parse("https://dynamodb.eu-west-1.amazonaws.com")).run(flow)``
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
        self._inherited: list[Connection] = []
        self._start()
        net.watch_forks(self)

    def _start(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: Pool[Connection, _Waiter] = Pool(*self._limits)

    def forked(self) -> None:
        """Start anew in a child process: the connections, and the loop, belong to the parent."""
        closed = self._pool.closed
        for connection in self._live:
            net.disown(connection.fileno)
        self._inherited += self._live  # kept, so that no finaliser runs on a loop that never will
        self._live.clear()
        self._names.reset()
        self._start()
        self._pool.closed = closed

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end; returns or raises what it does."""
        try:
            effect = next(flow)
            while True:
                try:
                    got = await (self.exchange(effect) if effect.__class__ is Send else self._perform(effect))
                except BaseException as error:  # noqa: BLE001 (the flow decides, also about a cancellation)
                    effect = flow.throw(error)
                else:
                    effect = flow.send(got)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # StopIteration is not generic; it is the flow's T

    async def _perform(self, effect: Any) -> Any:
        if effect.__class__ is Sleep:
            return await asyncio.sleep(effect.seconds)
        if effect.__class__ is Call:
            return await (asyncio.to_thread(effect.sync) if effect.async_ is None else effect.async_())
        if effect.__class__ is Gather:
            return await self._gather(effect)
        raise TypeError(f"not an effect: {effect!r}")

    async def exchange(self, send: Send) -> Reply:
        """Send a request and return its answer. Raises: `TransportError`."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt(loop)
        now = monotonic()
        got = self._pool.take(now)
        if isinstance(got, Connection) and not got.closed and not got.ready(0):
            connection = got
        else:
            connection = await self._obtain(got, now, now + send.timeout)
        try:
            answer = await connection.ask(send.data, now + send.timeout, send.largest)
        except BaseException:
            self._discard(connection)
            raise
        answer.origin = connection
        if answer.reusable and not connection.closed:
            self._give(connection)
        else:
            self._discard(connection)
        return answer

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            raise ConfigError("this AsyncDB is in use on another event loop: make one AsyncDB for each loop")
        self._loop = loop

    async def _obtain(self, got: Connection | Grant, now: float, deadline: float) -> Connection:
        """Whatever it takes to get a connection: waiting for a slot, opening one."""
        limit = min(deadline, now + self._patience)
        if got is Grant.WAIT:
            got = await self._wait(limit)
        if isinstance(got, Connection):
            if not got.closed and not got.ready(0):
                return got
            self._close(got)  # readable without a question: closed by the other side, or not to be trusted
        elif got is Grant.CLOSED:
            raise ConfigError("this database was closed")
        try:
            connection = await dial(self._endpoint, self._names, self._tls, limit, self._proxy)
        except BaseException:
            self._free()
            raise
        self._live.add(connection)
        return connection

    async def _wait(self, limit: float) -> Connection | Grant:
        loop = asyncio.get_running_loop()
        waiter: _Waiter = loop.create_future()
        self._pool.wait(waiter)
        timer = loop.call_later(max(0.0, limit - monotonic()), self._expire, waiter)
        try:
            return await waiter
        except BaseException:
            if not self._pool.forget(waiter) and not waiter.cancelled() and waiter.exception() is None:
                self._return(waiter.result())  # served and cancelled in the same turn of the loop
            raise
        finally:
            timer.cancel()

    def _expire(self, waiter: _Waiter) -> None:
        if self._pool.forget(waiter) and not waiter.done():
            detail = f"all {self._limits[0]} connections stayed busy"
            waiter.set_exception(TransportError("pool", detail, sent=False))

    def _return(self, grant: Connection | Grant) -> None:
        if isinstance(grant, Connection):
            self._give(grant)
        elif grant is Grant.OPEN:
            self._free()

    def _give(self, connection: Connection) -> None:
        connection.used = True
        wake = self._pool.give(connection, monotonic())
        if wake is not None:
            self._ring(wake)
        if self._pool.doomed:
            self._bury()

    def _free(self) -> None:
        self._ring(self._pool.lost())

    def _ring(self, wake: Wake[_Waiter, Connection]) -> None:
        while wake is not None and wake[0].done():  # cancelled, but its task has had no turn yet: serve the next
            got = wake[1]
            wake = self._pool.give(got, monotonic()) if isinstance(got, Connection) else self._pool.lost()
        if wake is not None:
            wake[0].set_result(wake[1])

    def _discard(self, connection: Connection) -> None:
        self._close(connection)
        self._free()

    def _close(self, connection: Connection) -> None:
        self._live.discard(connection)
        connection.abort()

    def _bury(self) -> None:
        doomed, self._pool.doomed = self._pool.doomed, []
        for connection in doomed:
            self._close(connection)

    async def _gather(self, effect: Gather) -> list[Any]:
        results: list[Any] = [None] * len(effect.flows)
        failures: list[BaseException] = []
        left = iter(enumerate(effect.flows))
        work = [self._work(left, results, failures) for _ in range(min(effect.limit, len(effect.flows)))]
        await _all_ended([asyncio.ensure_future(each) for each in work], failures)
        if failures:
            for _, flow in left:
                flow.close()
            raise failures[0]
        return results

    async def _work(
        self, left: Iterator[tuple[int, Flow[Any]]], results: list[Any], failures: list[BaseException]
    ) -> None:
        while not failures:
            job = next(left, None)
            if job is None:
                return
            try:
                results[job[0]] = await self.run(job[1])
            except BaseException as error:  # noqa: BLE001 (raised by the gathering task, after all have ended)
                failures.append(error)

    async def close(self) -> None:
        """Close what is idle; connections in use are closed after their exchange. Later use raises."""
        for waiter in self._pool.close():
            if not waiter.done():
                waiter.set_result(Grant.CLOSED)
        self._bury()
        await asyncio.sleep(0)  # the loop closes sockets in its next turn


async def _all_ended(tasks: list[asyncio.Task[None]], failures: list[BaseException]) -> None:
    """Wait for all; a cancellation is passed on to them, and is the failure unless one came before."""
    pending: set[asyncio.Task[None]] = set(tasks)
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            failures.append(error)
            for task in pending:
                task.cancel()
            pending = {task for task in pending if not task.done()}
