"""The connection pool as data: slots, and who may have them next. It has no clock, no lock and no thread of its own.

A *slot* is the right to one connection, and holds it. A slot lies in ``idle``, or in the ``box`` of somebody who waits,
or is held by whoever took it, in a local variable of one frame. An exception may be raised between any two instructions
(a signal's handler runs there), so nothing here counts: a slot that nobody refers to any more has given up its place by
that, since `Pool.live` is a set of weak references that remove themselves. Each change is one call of a built-in
function, which no other thread and no handler interrupts. So no lock can stay locked and no number can be wrong,
wherever an exception comes. What it can cost is a wake-up, and therefore those who wait look again every `LOOK` seconds.
"""

from __future__ import annotations

import weakref
from collections import deque
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

MAX_CONNECTIONS: Final = 100
"""Connections at once, idle ones included."""

MAX_IDLE: Final = 20
"""Idle connections that are kept."""

MAX_AGE: Final = 300.0
"""Seconds after its name look-up at which a connection is no longer used, so that a changed DNS answer is followed."""

MAX_QUIET: Final = 55.0
"""Seconds a connection may idle: below the 60 s after which load balancers commonly close silently."""

LOOK: Final = 0.05
"""Seconds after which those who wait look by themselves whether a slot is free."""

_FEWER_LOOKS: Final = 20  # the greatest multiple of `LOOK`, where many wait: each look serves the first of them


class Pooled(Protocol):
    """What the pool wants of a connection."""

    def close(self) -> None:
        """End it, at once; does nothing the second time."""
        ...


C = TypeVar("C", bound=Pooled)


class Slot(Generic[C]):
    """The right to one connection. ``born`` is when its address was looked up, ``since`` when it was last used."""

    __slots__ = ("__weakref__", "born", "connection", "since")

    def __init__(self) -> None:
        self.connection: C | None = None
        self.born: float = 0.0
        self.since: float = 0.0


class Waiter(Protocol[C]):
    """Somebody who waits for a slot."""

    box: deque[Slot[C]]

    def ring(self) -> None:
        """Wake him up; harmless when he is awake."""
        ...


class Pool(Generic[C]):
    """Connections of type ``C``. Safe to use from threads.

    Idle connections are reused last in, first out: the fewest stay warm, and the others grow old and are closed. Whoever
    finds nothing waits, and is served in the order in which he came: nobody takes a slot while others wait.

    Example::

        slot = pool.take()  # or None: then wait
        ...
        slot.since = now
        pool.idle.append(slot)
        pool.settle(now)
    """

    __slots__ = (
        "closed", "few", "idle", "live", "max_age", "max_connections", "max_idle", "max_quiet", "waited", "waiters",
        "waits",
    )  # fmt: skip

    def __init__(
        self,
        max_connections: int = MAX_CONNECTIONS,
        max_idle: int = MAX_IDLE,
        max_age: float = MAX_AGE,
        max_quiet: float = MAX_QUIET,
    ) -> None:
        self.max_connections: int = max_connections
        self.max_idle: int = max_idle
        # Up to so many idle slots there is nothing to `settle`: the last one is not too old.
        self.few: int = min(1, max_idle)
        self.max_age: float = max_age
        self.max_quiet: float = max_quiet
        self.live: set[weakref.ref[Slot[C]]] = set()
        self.idle: deque[Slot[C]] = deque()
        self.waiters: deque[Waiter[C]] = deque()
        self.closed: bool = False
        # To be looked at, and nothing depends on them: how often somebody has waited, and how many seconds in all.
        self.waits: int = 0
        self.waited: float = 0.0

    @property
    def size(self) -> int:
        """Slots that exist."""
        return len(self.live)

    @property
    def busy(self) -> int:
        """Slots that somebody holds."""
        return len(self.live) - len(self.idle)

    def slots(self) -> list[Slot[C]]:
        """Every slot that exists."""
        return [slot for ref in self.live.copy() if (slot := ref()) is not None]

    def note(self, waited: float) -> None:
        """Note that somebody has waited so many seconds, for a slot or in vain."""
        self.waits += 1
        self.waited += waited

    def take(self) -> Slot[C] | None:
        """An idle slot, or one without a connection, or None: then wait."""
        if self.waiters or self.closed:
            return None
        try:
            return self.idle.pop()
        except IndexError:
            return self._open()

    def _open(self) -> Slot[C] | None:
        """A new slot, unless there are as many as there may be."""
        if len(self.live) >= self.max_connections:
            return None
        slot: Slot[C] | None = None
        try:
            slot = Slot()
            self.live.add(weakref.ref(slot, self.live.discard))
            if len(self.live) <= self.max_connections:
                return slot
            self._free(slot)  # another thread was here at the same time: both give way, and are served while they wait
        except BaseException:
            if slot is not None:
                self._free(slot)  # who keeps the exception keeps this frame, and with it the slot
            raise
        return None

    def _free(self, slot: Slot[C]) -> None:
        self.live.discard(weakref.ref(slot))  # equal to the one within: both refer to the same slot

    def fresh(self, slot: Slot[C], now: float) -> bool:
        """Whether the connection has idled and lived for a short enough time to be used again."""
        return now - slot.since < self.max_quiet and now - slot.born < self.max_age

    def drop(self, slot: Slot[C]) -> None:
        """End the connection and free the place; does nothing the second time."""
        if slot.connection is not None:
            slot.connection.close()
        self._free(slot)
        if self.waiters:
            self.serve()

    def settle(self, now: float) -> None:
        """What is to be done after a slot was put into ``idle``: serve those who wait, end what is too many or too old."""
        if self.closed:
            self.clear()
        elif self.waiters:
            self.serve()
        slot: Slot[C] | None = None
        try:
            while len(self.idle) > self.max_idle or now - self.idle[0].since >= self.max_quiet:
                slot = self.idle.popleft()
                self.drop(slot)
        except IndexError:  # others took them
            return
        except BaseException:
            if slot is not None:
                self.drop(slot)
            raise

    def serve(self) -> None:
        """Hand what is free to those who wait."""
        while self.waiters and not self.closed and (self.idle or len(self.live) < self.max_connections):
            try:
                waiter = self.waiters.popleft()
            except IndexError:
                return
            self._hand(waiter)
            waiter.ring()

    def _hand(self, waiter: Waiter[C]) -> None:
        """Put a slot into his box, or him back into the queue."""
        try:
            waiter.box.append(self.idle.pop())
        except IndexError:
            waiter.box.extend(filter(None, (self._open(),)))
            if not waiter.box:
                self.waiters.appendleft(waiter)

    def patience(self) -> float:
        """Seconds for which somebody who waits does nothing."""
        return LOOK * min(max(len(self.waiters), 1), _FEWER_LOOKS)

    def look(self, waiter: Waiter[C]) -> None:
        """See whether a slot is free for whoever waits first. His place in the queue, if it was lost, is the first."""
        if not waiter.box and waiter not in self.waiters:
            self.waiters.appendleft(waiter)
        self.serve()

    def leave(self, waiter: Waiter[C]) -> None:
        """Wait no more; what is in the box goes to the next."""
        if waiter in self.waiters:
            with suppress(ValueError):  # served in this very moment
                self.waiters.remove(waiter)
        while waiter.box:
            if waiter.box[0].connection is None:
                waiter.box.popleft()  # nobody refers to it then: its place is free
            else:
                self.idle.append(waiter.box.popleft())
        if self.closed:
            self.clear()
        elif self.waiters:
            self.serve()

    def close(self) -> None:
        """End what is idle and let nobody in any more; those who wait are woken up."""
        self.closed = True
        self.clear()
        for waiter in tuple(self.waiters):
            waiter.ring()

    def clear(self) -> None:
        """End what is idle."""
        slot: Slot[C] | None = None
        try:
            while self.idle:
                slot = self.idle.pop()
                self.drop(slot)
        except IndexError:  # others took it
            return
        except BaseException:
            if slot is not None:
                self.drop(slot)
            raise
