"""The connection pool as data: it counts, it remembers, it decides; it does no I/O and has no clock.

A driver asks with `take`, obeys the answer, and tells with `give` or `lost` how it went; both of these return whom to
wake, and with what. What must be closed is put into ``doomed`` for the driver to empty. The pool is not thread-safe:
the driver guards it. A *slot* is the right to one connection; a slot is held from `take` (or a wake-up) until `give`
or `lost`, and idle connections hold one too, so that ``size`` never exceeds ``max_connections``.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

MAX_CONNECTIONS: Final = 100
"""Connections at once, idle ones included."""

MAX_IDLE: Final = 20
"""Idle connections that are kept."""

MAX_AGE: Final = 300.0
"""Seconds after its name look-up at which a connection is no longer used, so that a changed DNS answer is followed."""

MAX_QUIET: Final = 55.0
"""Seconds a connection may idle: below the 60 s after which load balancers commonly close silently."""


class Pooled(Protocol):
    """What the pool wants to know about a connection: when its address was looked up, and when it was last used."""

    born: float
    since: float


C = TypeVar("C", bound=Pooled)
W = TypeVar("W")


class Grant(Enum):
    """An answer that is not a connection."""

    OPEN = "a slot: open a connection"
    WAIT = "every slot is taken: enqueue with `wait`"
    CLOSED = "the pool was closed"


Wake: TypeAlias = "tuple[W, C | Grant] | None"
"""Whom to wake and what he gets, or None."""


class Pool(Generic[C, W]):
    """Connections of type ``C``, and waiters of type ``W`` served in the order in which they came.

    Idle connections are reused last in, first out: the fewest stay warm, and the others grow old and are closed.
    """

    __slots__ = ("closed", "doomed", "idle", "max_age", "max_connections", "max_idle", "max_quiet", "size", "waiters")

    def __init__(
        self,
        max_connections: int = MAX_CONNECTIONS,
        max_idle: int = MAX_IDLE,
        max_age: float = MAX_AGE,
        max_quiet: float = MAX_QUIET,
    ) -> None:
        self.max_connections: int = max_connections
        self.max_idle: int = max_idle
        self.max_age: float = max_age
        self.max_quiet: float = max_quiet
        self.size: int = 0
        self.idle: deque[C] = deque()
        self.waiters: deque[W] = deque()
        self.doomed: list[C] = []
        self.closed: bool = False

    @property
    def busy(self) -> int:
        """Slots that somebody holds."""
        return self.size - len(self.idle)

    def take(self, now: float) -> C | Grant:
        """Return an idle connection, or what to do instead."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if now - connection.since < self.max_quiet and now - connection.born < self.max_age:
                return connection
            self._doom(connection)
        if self.closed:
            return Grant.CLOSED
        if self.size < self.max_connections:
            self.size += 1
            return Grant.OPEN
        return Grant.WAIT

    def wait(self, waiter: W) -> None:
        """Enqueue whoever was told to wait."""
        self.waiters.append(waiter)

    def forget(self, waiter: W) -> bool:
        """Remove a waiter who gave up. False when he was served meanwhile: then he must give back what he got."""
        try:
            self.waiters.remove(waiter)
        except ValueError:
            return False
        return True

    def give(self, connection: C, now: float) -> Wake[W, C]:
        """Take back a healthy connection."""
        if self.closed or now - connection.born >= self.max_age:
            self.doomed.append(connection)
            return self.lost()
        connection.since = now
        if self.waiters:
            return self.waiters.popleft(), connection
        idle = self.idle
        idle.append(connection)
        if len(idle) > self.max_idle or now - idle[0].since >= self.max_quiet:
            self._doom(idle.popleft())
        return None

    def lost(self) -> Wake[W, C]:
        """Free a slot whose connection is gone or was never made."""
        if self.waiters and not self.closed:
            return self.waiters.popleft(), Grant.OPEN
        self.size -= 1
        return None

    def close(self) -> list[W]:
        """Doom what is idle and let nobody in any more; returns the waiters, to be told `Grant.CLOSED`."""
        self.closed = True
        while self.idle:
            self._doom(self.idle.pop())
        waiters = list(self.waiters)
        self.waiters.clear()
        return waiters

    def _doom(self, connection: C) -> None:
        self.size -= 1
        self.doomed.append(connection)
