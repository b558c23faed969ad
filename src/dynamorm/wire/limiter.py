"""A counting limiter: so many places, and who may have them next. It has no clock, no lock and no thread of its own.

Whoever wants a place enters a queue, and takes the place himself when his turn has come. Nobody hands places over, so that
none is lost on the way: whose turn it is follows from who stands ahead and from who holds a place, whenever it is asked.

An exception may be raised between any two instructions (a signal's handler runs there), so nothing here counts. The queue
and the places hold weak references: a `Permit` that nobody refers to any more has given up what it had by that. Each change
is one call of a built-in function, which no other thread and no handler interrupts. Whoever changes anything wakes those
whose turn it is then; to wake too many does no harm, since each of them looks whether it is his turn.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from functools import partial
from itertools import count, islice
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from dynamorm.arguments import check_count

__all__ = ["Limiter", "Permit"]


class Home(Protocol):
    """What a permit lives in: an event loop."""

    def is_closed(self) -> bool:
        """Whether nothing can go on in it any more."""
        ...


class Limiter:
    """At most ``places`` permits at once, given in the order in which they were asked for: see `Permit`.

    A flow asks by ``yield Acquire(limiter)``. ``places`` may be changed at any time; lowering it takes no permit back. Safe
    to use from threads and event loops, several at once too; a child process starts with all places free.

    Raises: ValidationError for a number of places below 1.

    Example::

        limiter = Limiter(20)
        ...
        with (yield Acquire(limiter, timeout=0.5)):
            return (yield from call(op))
    """

    def __init__(self, places: int) -> None:
        # By the numbers of permits, which grow: the order of the queue is that of the dict.
        self._waiting: dict[int, _Entry] = {}
        self._held: dict[int, _Entry] = {}
        self._numbers = count()
        self._home: Home | None = None
        self.places = places
        _limiters.add(self)

    @property
    def places(self) -> int:
        """How many permits there may be at once.

        Example: ``limiter.places = 40``
        """
        return self._places

    @places.setter
    def places(self, places: int) -> None:
        places = check_count("places", places, subject="places of a Limiter")
        try:
            self._places: int = places
            self._wake()
        except BaseException:
            self._wake()  # who waits must hear of it, even if an exception came meanwhile
            raise

    @property
    def held(self) -> int:
        """How many permits are held.

        Example: ``limiter.held <= limiter.places``
        """
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many wait.

        Example: ``gauge.set(limiter.waiting)``
        """
        return len(self._waiting)

    def permit(self) -> Permit:
        """A permit that holds nothing so far: for drivers, which answer `Acquire` with it. See `Permit.take`."""
        return Permit(self)

    def settle_in(self, home: Home) -> None:
        """Tell where permits are asked for from now on: those of an event loop that was closed are over."""
        if home is not self._home:
            for entry in (*self._held.copy().values(), *self._waiting.copy().values()):
                permit = entry[0]()
                if permit is not None and permit.home is not None and permit.home.is_closed():
                    permit.release()
            self._home = home

    def forked(self) -> None:
        """Start again in a child process, where nobody else is: the permits belong to threads of the parent."""
        self._held.clear()
        self._waiting.clear()

    def _turn_of(self, permit: Permit) -> bool:
        """See `Permit.take`."""
        number = permit.number
        if number is None:
            permit.number = number = next(self._numbers)
            self._enter(permit, number, self._waiting)
        if not self._admits(number):
            return False
        self._enter(permit, number, self._held)
        self._waiting.pop(number, None)
        self._wake()  # whoever looked between the two lines saw one place too few
        return True

    def _state_of(self, permit: Permit) -> str:
        number = permit.number
        return "held" if number in self._held else "waiting" if number in self._waiting else "released"

    def _first(self, number: int) -> list[int]:
        """The numbers of so many permits that wait, the first ones."""
        while True:
            try:
                return list(islice(self._waiting, max(number, 0)))
            except RuntimeError:  # another thread has changed the queue meanwhile
                continue

    def _admits(self, number: int) -> bool:
        """Whether it is the turn of a permit that waits.

        First it is read who stands ahead, then who holds a place: who moves on between the two is counted twice, never not
        at all. So those who find that it is their turn at the same time have a place each.
        """
        places = self._places
        if len(self._held) >= places:
            return False
        ahead = self._first(places)
        return number in ahead and len(self._held) + ahead.index(number) < places

    def _before(self, number: int) -> tuple[int, int]:
        """How many hold a place or came before and wait, each counted once, and how many of these hold one.

        Those that wait are read first: who moves on meanwhile is found among those that hold a place. The order is that in
        which they entered the queue, which is one step; their numbers were drawn before it.
        """
        waiting = list(self._waiting)
        held = set(self._held)
        ahead = waiting[: waiting.index(number)] if number in waiting else ()
        return len(held.union(ahead)), len(held)

    def _wake(self) -> None:
        """Wake those whose turn it is."""
        if self._waiting:
            for number in self._first(self._places - len(self._held)):
                entry = self._waiting.get(number)
                permit = None if entry is None else entry[0]()
                if permit is not None and permit.ring is not None:
                    permit.ring()

    def _enter(self, permit: Permit, number: int, among: dict[int, _Entry]) -> None:
        """Put a permit into the queue, or among those that are held; weakly, so that what is lost goes by itself.

        The second reference removes it by built-in functions alone, for a handler may interrupt what the first one calls.
        """
        lost, remove = partial(self._free, number), partial(among.pop, number)
        among[number] = weakref.ref(permit, lost), weakref.ref(permit, remove)

    def _free(self, number: int, _: object = None) -> None:
        """Remove a permit that was given back or lost, and wake who gets its place. May be repeated."""
        self._held.pop(number, None)
        self._waiting.pop(number, None)
        self._wake()

    def __repr__(self) -> str:
        return f"<Limiter {self.held} of {self._places} places held, {self.waiting} waiting>"


class Permit:
    """The right to one place of a `Limiter`: what `Acquire` is answered with. Give it back, best by ``with``.

    One that is given back by nobody is given back when nobody refers to it any more.

    Example::

        permit = yield Acquire(limiter)
        try:
            return (yield from call(op))
        finally:
            permit.release()
    """

    # Of the class: an object whose making failed is freed too.
    number: int | None = None
    """Its number in its limiter, from when it has entered the queue."""
    ring: Callable[[], None] | None = None
    """Called by any thread, more often than needed, when it may be the turn of this permit: set by the driver that waits."""
    home: Home | None = None
    """The event loop of the task that asked; None for a thread."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter: Limiter = limiter

    def take(self) -> bool:
        """Take the place if it is our turn, as drivers do: once, and each time they are woken. The first call enters the queue."""
        return self._limiter._turn_of(self)  # noqa: SLF001 - the other half of this module

    def exceeds(self, queue: int) -> bool:
        """Whether ``queue`` others wait already, ahead of this one and beside those for whom a place is free: for drivers.

        It is asked behind `take`, which enters the queue. So of those that come in the same moment each knows its rank.
        """
        if self.number is None:
            return False
        limiter = self._limiter
        before, held = limiter._before(self.number)  # noqa: SLF001 - the other half of this module
        return before >= max(limiter.places, held) + queue

    def release(self) -> None:
        """Give the place back, or leave the queue; does nothing the second time. May be called by any thread.

        Example: ``permit.release()``
        """
        try:
            if self.number is not None:
                self._limiter._free(self.number)  # noqa: SLF001 - the other half of this module
        except BaseException:
            if self.number is not None:
                self._limiter._free(self.number)  # noqa: SLF001 - once more, if an exception came meanwhile
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Permit {self._limiter._state_of(self)}>"  # noqa: SLF001 - the other half of this module


_Entry: TypeAlias = "tuple[weakref.ref[Permit], weakref.ref[Permit]]"

_limiters: weakref.WeakSet[Limiter] = weakref.WeakSet()


def _after_fork() -> None:
    for limiter in list(_limiters):
        limiter.forked()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
