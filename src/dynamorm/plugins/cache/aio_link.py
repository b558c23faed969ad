"""Connections to Redis on the asyncio face: the mirror of `link`. Loaded for asyncio clients only."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as Broken
from redis.exceptions import ResponseError

from dynamorm.effects import Call

from .link import MAX_IDLE, settings_of

if TYPE_CHECKING:
    from dynamorm.effects import Flow


def _never() -> None:
    raise AssertionError("this client is for asyncio")  # it was refused when the plugin was registered


class AioLink:
    """Sends commands from any number of tasks of one event loop."""

    def __init__(self, client: Any, timeout: float) -> None:
        self._class, self._settings = settings_of(client, timeout)
        self._settings |= {"socket_timeout": None, "socket_connect_timeout": None}  # one limit around all of it
        self._timeout = timeout
        self._idle: deque[Any] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._class(**self._settings)  # no I/O: settings that do not fit fail here

    def ask(self, *command: Any) -> Flow[Any]:
        """The answer to one command."""
        return (yield Call(_never, partial(self._ask, command)))

    async def _ask(self, command: tuple[Any, ...]) -> Any:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._idle = loop, deque()  # the connections of another loop end with it
        async with asyncio.timeout(self._timeout):
            if self._idle:
                try:
                    return await self._exchange(self._idle.pop(), command)
                except Broken:  # it was closed by the other side while nobody used it
                    pass
            connection = self._class(**self._settings)
            try:
                await connection.connect()
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            return await self._exchange(connection, command)

    async def _exchange(self, connection: Any, command: tuple[Any, ...]) -> Any:
        try:
            await connection.send_packed_command(connection.pack_command(*command), check_health=False)
            answer = await connection.read_response(disable_decoding=True)
        except ResponseError:
            await self._give(connection)
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        await self._give(connection)
        return answer

    async def _give(self, connection: Any) -> None:
        if len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            await connection.disconnect(nowait=True)

    async def close(self, db: Any) -> None:
        """End the connections that are kept, when ``db`` is closed."""
        del db
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    def forked(self) -> None:
        """Start again in a child process: the connections, and the loop, belong to the parent."""
        self._idle, self._loop = deque(), None
