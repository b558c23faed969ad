"""Runs coroutines: for the blocking face what a plugin awaits, and for many tasks what one of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from dynamorm.errors import InvalidUse


def on_a_loop(hook: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Run a coroutine to its end in this thread, on a loop of its own. Raises: InvalidUse inside a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(hook(*args))
    raise InvalidUse("a hook that is a coroutine cannot run on a blocking DB inside a running event loop: use AsyncDB")


class Flight:
    """What one task does at a time, for all that want it meanwhile: who is cancelled leaves the others with it.

    Example: ``keys = await flight.joined(fetch)``
    """

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None

    @property
    def is_on(self) -> bool:
        """Whether it is being done."""
        task = self._task
        return task is not None and not task.done() and not task.get_loop().is_closed()

    async def joined(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """The result of ``work()``, or of what is under way; it is done in the context of nobody."""
        loop = asyncio.get_running_loop()
        task = self._task
        if task is None or task.done() or task.get_loop() is not loop:
            task = self._task = loop.create_task(work(), context=Context())
            task.add_done_callback(_looked_at)
        return await asyncio.shield(task)


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Let nobody be warned of a failure that all who waited for it have left."""
    if not task.cancelled():
        task.exception()
