"""A second flow beside a slow one, as tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynamorm.effects import Flow, Hedge


async def hedge(run: Callable[[Flow[Any]], Coroutine[Any, Any, Any]], effect: Hedge) -> tuple[Any, bool]:
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
