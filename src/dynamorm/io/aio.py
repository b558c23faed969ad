"""The asyncio driver: performs a flow's effects on one event loop. It and its parts alone import asyncio.

It must not know DynamoDB. What can be cancelled is written so that a cancellation at any ``await``, or an exception that a
signal's handler raises anywhere, gives back exactly what was held.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from dynamorm.effects import Acquire, Call, Flow, Gather, Reply, Send, Sleep, TransportError
from dynamorm.errors import ConfigError
from dynamorm.io import net
from dynamorm.io.aio_bell import rung
from dynamorm.io.aio_link import Connection, dial
from dynamorm.io.threads import start
from dynamorm.io.tls import settings_for
from dynamorm.wire.pool import MAX_AGE, MAX_CONNECTIONS, MAX_IDLE, MAX_QUIET, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dynamorm.io.proxy import Proxy
    from dynamorm.io.tls import TLSSettings
    from dynamorm.wire.endpoint import Endpoint
    from dynamorm.wire.pool import Slot

T = TypeVar("T")


class _Waiter:
    """A task that waits for a slot."""

    __slots__ = ("_bell", "_loop", "box")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._bell: asyncio.Future[None] | None = None
        self.box: deque[Slot[Connection]] = deque()

    def ring(self) -> None:
        bell = self._bell
        if bell is not None and not bell.done() and not self._loop.is_closed():
            bell.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Wait to be rung, for so long."""
        self._bell = bell = self._loop.create_future()
        await rung(bell, self._loop, seconds)


class Aio:
    """Performs flows for any number of tasks of one event loop, over one pool of connections to one endpoint.

    The arguments are those of `dynamorm.io.blocking.Blocking`. The first use ties the driver to the running loop; when
    that is closed, the next use ties it to another one, with new connections.

    Example: ``await Aio(Endpoint.parse("https://dynamodb.eu-west-1.amazonaws.com")).run(flow)``
    """

    _loop: asyncio.AbstractEventLoop | None = None  # of the class: an object whose making failed is freed too

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
        self._inherited: list[Connection] = []
        self._start()
        net.watch_forks(self)

    def _start(self) -> None:
        self._loop = None
        self._open: set[Connection] = set()  # also those whose slot was lost
        self._pool: Pool[Connection] = Pool(*self._limits)

    @property
    def _live(self) -> list[Connection]:
        """The connections that are open."""
        return [slot.connection for slot in self._pool.slots() if slot.connection is not None]

    def forked(self) -> None:
        """Start again in a child process: the connections, and the loop, belong to the parent."""
        closed = self._pool.closed
        for connection in self._open:
            net.disown(connection.fileno)
        self._inherited += self._open  # kept, so that no finaliser runs on a loop that never will
        self._names.reset()
        self._start()
        self._pool.closed = closed

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end; returns or raises what it does."""
        try:
            effect = next(flow)
            while True:
                # In one line: an exception at a line with nothing but "try" would pass by the handlers around it.
                try: got = await (self.exchange(effect) if effect.__class__ is Send else self._perform(effect, flow))  # fmt: skip  # noqa: E701 - see above
                except BaseException as error:  # noqa: BLE001 (the flow decides, also about a cancellation)
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

    async def _perform(self, effect: Any, flow: Flow[Any]) -> Any:
        if effect.__class__ is Sleep:
            return await asyncio.sleep(effect.seconds)
        if effect.__class__ is Call:
            return await (_in_time(effect.sync, effect.timeout) if effect.async_ is None else effect.async_())
        if effect.__class__ is Gather:
            return await self._gather(effect)
        if effect.__class__ is Acquire:
            from .aio_acquire import acquire  # only where a plugin has a limiter

            return await acquire(effect)
        from .no_effect import no_effect  # only for a mistake

        raise no_effect(effect, flow)

    async def exchange(self, send: Send) -> Reply:
        """Send a request and return its answer. Raises: `TransportError`."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt(loop)
        now = monotonic()
        deadline = now + send.timeout
        pool = self._pool
        slot: Slot[Connection] | None = None
        held = True  # False from when the slot goes back: if it does not get there, it is found missing
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
                    or slot.connection.closed  # type: ignore[union-attr]  # an idle slot has one
                    or slot.connection.ready(0)  # type: ignore[union-attr]  # likewise
                ):
                    if slot is not None:
                        pool.drop(slot)  # readable without a question: closed by the other side, or not to be trusted
                    limit = min(deadline, now + self._patience)
                    slot = pool.take() or await self._wait(pool, limit)
                    if slot.connection is None:
                        slot.connection = Connection(loop, self._open)
                        await dial(slot.connection, self._endpoint, self._names, self._tls, limit, self._proxy)
                        slot.born = slot.connection.born
                        break
                connection: Any = slot.connection
                answer: Any = await connection.ask(send.data, deadline, send.largest)
                answer.origin = connection
                if answer.reusable and not connection.closed:
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
            held, slot = slot is not None and held, None
            if not held:
                self._sweep()
            raise
        return answer  # type: ignore[no-any-return]  # the future of an answer

    def _sweep(self) -> None:
        """End the connections whose slots were lost: the loop would keep them."""
        held = {slot.connection for slot in self._pool.slots()}
        for connection in self._open - held:
            connection.close()

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            if not self._loop.is_closed():
                raise ConfigError("this AsyncDB is in use on another event loop: make one AsyncDB for each loop")
            for connection in self._open.copy():
                connection.close()
            closed = self._pool.closed
            self._start()
            self._pool.closed = closed
        self._loop = loop

    async def _wait(self, pool: Pool[Connection], limit: float) -> Slot[Connection]:
        """Wait for a slot. Raises: `TransportError` when none came in time, `ConfigError` when the driver is closed."""
        waiter = _Waiter(asyncio.get_running_loop())
        try:
            try:
                pool.waiters.append(waiter)
                pool.serve()  # something may have become free since
                while not waiter.box:
                    left = limit - monotonic()
                    if pool.closed:
                        raise ConfigError("this database was closed")
                    if left <= 0:
                        raise TransportError("pool", f"all {pool.max_connections} connections stayed busy", sent=False)
                    await waiter.wait(min(left, pool.patience()))
                    if not waiter.box:
                        pool.look(waiter)
                return waiter.box.pop()
            finally:
                pool.leave(waiter)
        except BaseException:  # once more, if an exception came while it left
            pool.leave(waiter)
            raise

    async def _gather(self, effect: Gather) -> list[Any]:
        results: list[Any] = [None] * len(effect.flows)
        failures: list[BaseException] = []
        left = iter(enumerate(effect.flows))
        work = [self._work(left, results, failures) for _ in range(min(effect.limit, len(effect.flows)))]
        await _all_ended([asyncio.ensure_future(coroutine) for coroutine in work], failures)
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
        """Close what is idle; connections in use are closed after their exchange. Later use raises. It never fails."""
        loop = self._loop
        if loop is None or loop is asyncio.get_running_loop() or loop.is_closed():
            self._pool.close()
        else:  # it may run in another thread, and is not to be touched from here
            with suppress(RuntimeError):  # closed in this very moment
                loop.call_soon_threadsafe(self._pool.close)
            self._pool.closed = True
        await asyncio.sleep(0)  # the loop closes sockets in its next iteration

    def __del__(self) -> None:
        """Nobody is left to close the connections, and their loop would keep them or, closed, complain of them."""
        loop = self._loop
        if loop is not None and self._open and (loop.is_closed() or asyncio._get_running_loop() is loop):  # noqa: SLF001 - it does not raise without one
            for connection in self._open.copy():
                connection.close()


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Run what blocks in a thread, which ends quietly when the loop was closed meanwhile."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def tell(result: Any, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    start(work, tell)
    return await done


async def _in_time(work: Callable[[], Any], timeout: float | None) -> Any:
    """The same, for so many seconds. Raises: TimeoutError."""
    async with asyncio.timeout(timeout):
        return await _in_thread(work)


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
