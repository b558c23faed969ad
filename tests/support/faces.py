"""Both faces behind one blocking way of calling, so that every behaviour test is written once.

The asyncio face runs on a loop in a thread of its own; a call from any thread becomes a task there, so tests that use
threads meet concurrent tasks.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dynamorm import DB, AsyncDB, Config
from dynamorm.errors import OutcomeUnknown

FACES = ("blocking", "asyncio")


class _Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, awaitable: Any, timeout: float = 110.0) -> Any:
        async def outer() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(outer(), self.loop).result(timeout)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class _Mirror:
    """Makes an asyncio object look blocking: awaits what is awaitable, mirrors the builders it returns."""

    def __init__(self, subject: Any, loop: _Loop) -> None:
        self._subject = subject
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._subject, name)
        return self._called(found) if callable(found) else self._wrap(found)

    def _called(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            found = function(*args, **kwargs)
            if inspect.isawaitable(found) and not hasattr(found, "__aiter__"):  # to await a query is a mistake
                return self._loop.run(_settling(found, self._loop))
            return self._wrap(found)

        return call

    def _wrap(self, found: Any) -> Any:
        ours = type(found).__module__
        if (
            ours.startswith("dynamorm.faces.aio")
            or ours == "dynamorm.plugins.audit.aio"
            or hasattr(found, "__aenter__")
        ):
            return _Mirror(found, self._loop)
        return _drain(found, self._loop) if hasattr(found, "__anext__") else found

    def __enter__(self) -> Any:
        return self._wrap(self._loop.run(self._subject.__aenter__()))

    def __exit__(self, *error: object) -> Any:
        return self._loop.run(_settling(self._subject.__aexit__(*error), self._loop))

    def __iter__(self) -> Iterator[Any]:
        return _drain(self._subject.__aiter__(), self._loop)


async def _settling(awaitable: Any, loop: _Loop) -> Any:
    """Await; an `OutcomeUnknown` that leaves is given a blocking ``resolve``."""
    try:
        return await awaitable
    except OutcomeUnknown as error:
        ask = error.resolve
        error.resolve = lambda deadline=None: loop.run(ask(deadline))  # type: ignore[method-assign] # as on the blocking face
        raise


def _drain(iterator: Any, loop: _Loop) -> Iterator[Any]:
    while True:
        try:
            yield loop.run(iterator.__anext__())
        except StopAsyncIteration:
            return


class Face:
    """A DB of either face. Everything else is asked of the DB itself, in the blocking way."""

    def __init__(self, kind: str, config: Config, **options: Any) -> None:
        self.kind = kind
        if kind == "blocking":
            self._loop = None
            self.inner: Any = DB(config, **options)
            self._db: Any = self.inner
        else:
            self._loop = _Loop()
            self.inner = AsyncDB(config, **options)
            self._db = _Mirror(self.inner, self._loop)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def scoped(self, **scope: str) -> Face:
        """The same face over a view of its database."""
        view = object.__new__(Face)
        view.kind, view._loop, view.inner = self.kind, self._loop, self.inner.view(**scope)
        view._db = view.inner if view._loop is None else _Mirror(view.inner, view._loop)
        return view

    def run(self, flow: Any) -> Any:
        """Drive a flow on this face's driver."""
        found = self.inner._io.run(flow)
        return found if self._loop is None else self._loop.run(_settling(found, self._loop))

    def concurrently(self, work: Callable[[int], Any], count: int) -> list[Any]:
        """Run ``work(0) ... work(count - 1)`` at once: threads here, tasks on the asyncio face."""
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(work, range(count)))

    def close(self) -> None:
        """Close the DB and what carries it."""
        self._db.close()
        if self._loop is not None:
            self._loop.stop()
