"""The effects that only plugins yield, in tasks: a second flow beside a slow one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Hedge

from .aio_acquire import acquire

if TYPE_CHECKING:
    from dynamorm.effects import Flow

Run = Callable[["Flow[Any]"], Coroutine[Any, Any, Any]]


async def performed(run: Run, effect: Any, flow: Flow[Any]) -> Any:
    """What an effect of a plugin gives; ``flow`` is who yields it.

    Raises: what both flows of a `Hedge` have raised; as `acquire` for another effect.
    """
    return await (_hedged(run, effect) if effect.__class__ is Hedge else acquire(effect, flow))


async def _hedged(run: Run, effect: Hedge) -> tuple[Any, bool]:
    """The first result, and whether it is that of the second flow. The other one has ended by then."""
    tasks = [asyncio.ensure_future(run(effect.first))]
    try:
        await asyncio.wait(tasks, timeout=effect.after)
        second = None if tasks[0].done() else effect.second()
        if second is not None:
            tasks.append(asyncio.ensure_future(run(second)))
        while True:
            for task in tasks:
                if task.done() and not task.cancelled() and task.exception() is None:
                    return task.result(), task is not tasks[0]
            pending = [task for task in tasks if not task.done()]
            if not pending:
                return tasks[0].result(), False  # it raises
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    finally:
        pending = [task for task in tasks if not task.done()]
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # looked at: asyncio complains of what nobody has seen
