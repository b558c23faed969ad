"""`AsyncLoader`, for asyncio: the gets that are awaited in one turn of the event loop are read together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from dynamorm.errors import DeadlineExceeded, InvalidUse
from dynamorm.plugin import OfOneProcess

from .gets import UNPICKLABLE_FOR, UNPICKLABLE_INSTEAD, Asked, Gets

M = TypeVar("M")


class AsyncLoader(OfOneProcess):
    """Reads items together that are asked for one by one, each once: by `batch_get`, up to 100 in a request.

    Made by ``db.loader()``, for one piece of work, such as a request: what it has read once it gives again, the same object, as long as
    it lives. It keeps what was read for each scope apart, and belongs to the event loop that first uses it. What could not be read is
    read anew when it is asked for again. A get that is cancelled, or whose deadline passes, takes nothing from the others.

    Example::

        loader = db.loader()
        customers = await asyncio.gather(*(loader.get(Customer, order.customer_id) for order in orders))
    """

    unpicklable_for = UNPICKLABLE_FOR
    unpicklable_instead = UNPICKLABLE_INSTEAD

    def __init__(self, gets: Gets, run: Callable[[Any], Any]) -> None:
        self._gets = gets
        self._run = run
        self._loop: asyncio.AbstractEventLoop | None = None
        self._found: dict[Any, asyncio.Future[Any]] = {}
        self._wanted: dict[Any, dict[Any, tuple[Asked, asyncio.Future[Any]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, model: type[M], /, *key: Any, **parts: Any) -> Coroutine[Any, Any, M | None]:
        """The object under a key, or None; to be awaited. It is read with all that is asked for in this turn of the event loop.

        It is of the scope in which it is called.

        Raises: ValidationError for a key that does not fit the model; as `dynamorm.AsyncDB.batch_get`.

        Example: ``customer = await loader.get(Customer, order.customer_id)``
        """
        try:
            asked = self._gets.asked(model, key, parts)
        except Exception as error:  # noqa: BLE001 - it is raised where the get is awaited
            return _refused(error)
        return self._answer(asked)

    async def _answer(self, asked: Asked) -> Any:
        left = self._gets.left()
        future = self._found.get(asked.item)
        if future is None or self._loop is not asyncio.get_running_loop():
            future = self._want(asked)
        if left is None:
            return await asyncio.shield(future)
        try:
            return await asyncio.wait_for(asyncio.shield(future), left)
        except TimeoutError:
            if future.done() and not future.cancelled():
                return future.result()
            raise DeadlineExceeded("the deadline has passed before the loader had read the item") from None

    def clear(self, model: type[Any] | None = None, /, *key: Any, **parts: Any) -> None:
        """Forget what was read: of one item, of a model, or all of it; of this scope, where a model is named. It is not awaited.

        Example: ``loader.clear(Customer, "c1")`` after it was changed
        """
        self._wanted.clear()  # what was asked for until now is read, and what is asked for from now on is read anew
        if model is None:
            self._found.clear()
            return
        item = self._gets.asked(model, key, parts).item if key or parts else self._gets.of(model)
        for known in [known for known in self._found if known[: len(item)] == item]:
            del self._found[known]

    def _want(self, asked: Asked) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                raise InvalidUse(
                    "this loader belongs to another event loop: make one with db.loader() where it is needed"
                )
            self._loop = loop
        future = self._found[asked.item] = loop.create_future()
        future.add_done_callback(_seen)
        group = self._wanted.get(asked.together)
        if group is None:
            group = self._wanted[asked.together] = {}
            variables = self._gets.variables()
            loop.call_soon(self._start, asked.together, group, variables)
        group[asked.item] = asked, future
        return future

    def _start(self, together: Any, group: dict[Any, tuple[Asked, asyncio.Future[Any]]], variables: Context) -> None:
        if self._wanted.get(together) is group:
            del self._wanted[together]
        task = asyncio.get_running_loop().create_task(self._read(group), context=variables)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, group: dict[Any, tuple[Asked, asyncio.Future[Any]]]) -> None:
        gets = [asked for asked, _ in group.values()]
        try:
            objects = await self._run(self._gets.read(gets))
        except BaseException as error:
            for item, (_, future) in group.items():
                if self._found.get(item) is future:
                    del self._found[item]
                if isinstance(error, asyncio.CancelledError):
                    future.cancel()
                elif not future.done():
                    future.set_exception(error)
            if isinstance(error, (KeyboardInterrupt, SystemExit, asyncio.CancelledError)):
                raise
            return  # each of them is told
        for (_, future), obj in zip(group.values(), objects, strict=True):
            if not future.done():
                future.set_result(obj)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {sum(future.done() for future in self._found.values())} read>"


def _seen(future: asyncio.Future[Any]) -> None:
    """Nobody may wait for it any more: then its error is no news."""
    if not future.cancelled():
        future.exception()


async def _refused(error: Exception) -> Any:
    raise error
