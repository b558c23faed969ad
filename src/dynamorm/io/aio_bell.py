"""Waiting in a task for a bell, within a time. It must not know what the bell is rung for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from threading import get_ident


class Bell:
    """Wakes a task. Whoever rings before the task waits is heard all the same."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = get_ident()
        self._rung: asyncio.Future[None] = loop.create_future()

    def ring(self) -> None:
        """Ring, from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            if get_ident() == self._thread:
                self._set()
            else:
                self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self._rung.done():
            self._rung.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Wait to be rung, for so long."""
        await rung(self._rung, self._loop, seconds)
        self._rung = self._loop.create_future()


async def rung(bell: asyncio.Future[None], loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """Wait for ``bell``, for so long; it is cancelled when the time is over."""
    task = asyncio.current_task()
    asked = 0 if task is None else task.cancelling()
    # A built-in function: no handler interrupts it.
    timer = None if seconds == inf else loop.call_later(seconds, bell.cancel)
    try:
        await bell
    except asyncio.CancelledError:
        if task is None or task.cancelling() > asked or not bell.cancelled():
            raise  # it was not the timer
    finally:
        if timer is not None:
            timer.cancel()
