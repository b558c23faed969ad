"""Pays what is owed to Redis while nobody uses the cache: a thread on the blocking face, which lives as long as there is a debt.

Its mirror for asyncio is in `aio_link`. It must not know what is owed.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .link import Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamorm.effects import Flow

NAME = "dynamorm-cache"


class Keeper:
    """``tend`` is a flow: one round, which gives the seconds until the next one, or None when nothing is left to do."""

    def __init__(self, link: Link, tend: Callable[..., Flow[float | None]]) -> None:
        self._link = link
        self._tend = tend
        self._users = 0
        self._thread: threading.Thread | None = None
        self.forked()

    def joined(self) -> None:
        """A database begins to use the cache."""
        self._users += 1

    def wake(self) -> None:
        """There is something to do, now."""
        with self._lock:
            self._called.set()
            if self._thread is None and self._users:
                thread = threading.Thread(target=self._run, name=NAME, daemon=True)
                with suppress(
                    RuntimeError
                ):  # the interpreter ends, or there can be no more threads: the next command pays
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        while True:
            self._called.clear()
            wait = _driven(self._tend())
            with self._lock:
                if not self._users or (wait is None and not self._called.is_set()):
                    self._thread = None
                    return
            if wait is not None:
                self._called.wait(wait)

    def closed(self, db: Any) -> None:
        """A database is closed: pay for the last time, and end the connections."""
        self._users -= 1
        with self._lock:
            thread = self._thread
            self._called.set()
        if not self._users and thread is not None and thread is not threading.current_thread():
            thread.join(1.0)
        _driven(self._tend(at_last=True))
        self._link.close(db)

    def forked(self) -> None:
        """Start again in a child process, which has no such thread."""
        # Entered twice by one thread: what is owed may be told while the garbage collector closes a flow.
        self._lock = threading.RLock()
        self._called = threading.Event()
        self._thread = None


def _driven(flow: Flow[Any]) -> Any:
    """The result of a flow of commands. Nobody waits for this thread, so that no limit of a look-up is needed."""
    try:
        effect = next(flow)
        while True:
            try:
                got = effect.sync()
            except BaseException as error:  # noqa: BLE001 - the flow decides
                effect = flow.throw(error)
            else:
                effect = flow.send(got)
    except StopIteration as stop:
        return stop.value


KINDS: Final = Link, Keeper
"""What is made for a cache on this face."""
