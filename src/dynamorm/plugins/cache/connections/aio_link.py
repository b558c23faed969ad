"""Connections to Redis on the asyncio face: the mirror of `link`. Loaded for asyncio clients only."""

from __future__ import annotations

import asyncio
from contextvars import Context
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ConnectionError as Broken
from redis.exceptions import ResponseError

from dynamorm.effects import Call

from .link import MAX_IDLE, settings_of
from .patience import STEPS, Idle, OutOfTime, end_of_caller, is_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamorm.effects import Flow


def _never() -> None:
    raise AssertionError("this client is for asyncio")  # it was refused when the plugin was registered


LATE_TURN: Final = 0.2
"""What a late turn counts: a loop that is blocked all the time gives Redis 25 turns, and then up as well."""


class _Turns:
    """The budget of one command, counted in turns of the loop: one that comes late counts for little.

    An answer that came meanwhile is taken before the next turn, for the loop looks at sockets first; but a command on a new
    connection has several answers, and a busy loop takes one in each turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float, end: float | None) -> None:
        self._loop = loop
        self._left = timeout
        self._step = timeout / STEPS
        self._end = end
        self._due = monotonic()
        self._handle: asyncio.TimerHandle | None = None
        self.scope = asyncio.timeout(None)
        self.is_own = False

    def turn(self) -> None:
        """Wait for one step more, or end the scope."""
        now = monotonic()
        own = self._step if self._end is None else self._end - now
        self.is_own = own <= 0
        if self.is_own or self._left <= 0:
            self.scope.reschedule(self._loop.time())
            return
        self._left -= self._step * (LATE_TURN if now > self._due + self._step else 1.0)
        wait = min(self._step, own)
        self._due = now + wait
        self._handle = self._loop.call_later(wait, self.turn)

    def cancel(self) -> None:
        """The command has ended."""
        if self._handle is not None:
            self._handle.cancel()


class AioLink:
    """Sends commands from any number of tasks of one event loop."""

    def __init__(self, client: Any, timeout: float) -> None:
        self._class, self._settings = settings_of(client, timeout)
        self._settings |= {"socket_timeout": None, "socket_connect_timeout": None}  # one limit around all of it
        self._timeout = timeout
        self._idle = Idle()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._class(**self._settings)  # no I/O: settings that do not fit fail here

    def ask(self, *command: Any) -> Flow[Any]:
        """The answer to one command."""
        return (yield Call(_never, partial(self._ask, command, end_of_caller())))

    async def _ask(self, command: tuple[Any, ...], end: float | None) -> Any:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._idle = loop, Idle()  # the connections of another loop end with it
        turns, era = _Turns(loop, self._timeout, end), self._idle.era
        try:
            async with turns.scope:
                turns.turn()
                return await self._answer(command)
        except TimeoutError:
            if turns.is_own:
                raise OutOfTime from None
            await self._incident(era)
            raise
        finally:
            turns.cancel()

    async def _answer(self, command: tuple[Any, ...]) -> Any:
        kept = self._idle.take()
        if kept is not None:
            try:
                return await self._exchange(*kept, command)
            except Broken:  # it was closed by the other side while nobody used it
                pass
        era, connection = self._idle.era, self._class(**self._settings)
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return await self._exchange(era, connection, command)

    async def _exchange(self, era: int, connection: Any, command: tuple[Any, ...]) -> Any:
        try:
            await connection.send_packed_command(connection.pack_command(*command), check_health=False)
            answer = await connection.read_response(disable_decoding=True)
        except BaseException as error:
            if isinstance(error, ResponseError) and not is_elsewhere(error):
                await self._give(era, connection)
                raise
            await connection.disconnect(nowait=True)
            if is_elsewhere(error):
                await self._incident(era)
            raise
        await self._give(era, connection)
        return answer

    async def _incident(self, era: int) -> None:
        for connection in self._idle.incident(era):
            await connection.disconnect(nowait=True)

    async def _give(self, era: int, connection: Any) -> None:
        if not self._idle.give(era, connection, MAX_IDLE):
            await connection.disconnect(nowait=True)

    async def close(self, db: Any) -> None:
        """End the connections that are kept, when ``db`` is closed."""
        del db
        while (kept := self._idle.take()) is not None:
            await kept[1].disconnect(nowait=True)

    def forked(self) -> None:
        """Start again in a child process: the connections, and the loop, belong to the parent."""
        self._idle, self._loop = Idle(), None


class AioKeeper:
    """Pays what is owed while nobody uses the cache: the mirror of `keeper`, a task."""

    def __init__(self, link: AioLink, tend: Callable[..., Flow[float | None]]) -> None:
        self._link = link
        self._tend = tend
        self._users = 0
        self._task: asyncio.Task[None] | None = None

    def joined(self) -> None:
        """A database begins to use the cache."""
        self._users += 1

    def wake(self) -> None:
        """There is something to do, now."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a flow is closed outside of the loop: the next command pays
            return
        task = self._task
        if self._users and (task is None or task.done() or task.get_loop() is not loop):
            # In a context of its own: the deadline is of the one who could not pay.
            self._task = loop.create_task(self._run(), name="dynamorm-cache", context=Context())

    async def _run(self) -> None:
        while (wait := await _driven(self._tend())) is not None:  # noqa: ASYNC110 - it waits for time
            await asyncio.sleep(wait)

    async def closed(self, db: Any) -> None:
        """A database is closed: pay for the last time, and end the connections."""
        self._users -= 1
        task = self._task
        if not self._users and task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])
        await _driven(self._tend(at_last=True))
        await self._link.close(db)

    def forked(self) -> None:
        """Start again in a child process: the task belongs to the parent's loop."""
        self._task = None


async def _driven(flow: Flow[Any]) -> Any:
    """The result of a flow of commands."""
    try:
        effect = next(flow)
        while True:
            try:
                got = await effect.async_()
            except BaseException as error:  # noqa: BLE001 - the flow decides, also about a cancellation
                effect = flow.throw(error)
            else:
                effect = flow.send(got)
    except StopIteration as stop:
        return stop.value


KINDS: Final = AioLink, AioKeeper
"""What is made for a cache on this face."""
