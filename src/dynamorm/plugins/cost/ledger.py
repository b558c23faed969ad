"""The books: what has been taken, by verb, model, scope, table and index. It knows no prices and no requests.

An attempt only leaves a note, in a queue that needs no lock; the notes are added up when somebody asks, or when there are many.

All that is kept has the time of a clock that nobody sets (`Times`). To which month it belongs is told by the wall clock of the moment in
which somebody asks: a process that starts in 1970, or whose clock was wrong for an hour, has the right month once the clock is right.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from .times import DAY, Times, month_of

MANY: Final = 512
"""Notes after which they are added up by whoever leaves the next one: about 0.2 ms of work."""

REPORTED, ESTIMATED, MISSING, UNCERTAIN = 0, 2, 4, 6
"""Where the read units of a note are added; the write units stand behind. MISSING: estimated, because nothing was reported.
ESTIMATED: all that was estimated, MISSING and UNCERTAIN are no part of it."""
STREAMS: Final = -1
"""A note of one GetRecords."""

LONGEST: Final = 32 * 86_400.0
"""Seconds for which units are kept apart for the sake of the month: no month is as long."""
STILL: Final = 0.5
"""Seconds by which the two clocks may drift apart before the wall clock counts as set: a time that is told stays the same."""

OTHER: Final = (("scope", "other"),)
"""The scope of what is beyond `Ledger.max_scopes`."""


class Part(Struct, frozen=True, gc=False):
    """Units of one table, or of one of its indexes."""

    table: str
    index: str | None
    read_units: float
    write_units: float


class Key(Struct, frozen=True):
    """Whose units they are. ``model`` is None where a verb is about several; ``verb`` where there is none."""

    verb: str | None
    model: type[Any] | None
    scope: tuple[tuple[str, str], ...]
    table: str
    index: str | None


Note = tuple[float, int, str, str | None, type[Any] | None, Mapping[str, str], Iterable[Any]]
"""When (of the steady clock), where it is added, the operation, verb, model, scope, and the parts."""


class Traffic:
    """Of one table: the units of the minute with most of them, and the average of a write and of a read."""

    __slots__ = ("_minute", "_units", "most", "reads", "writes")

    def __init__(self) -> None:
        self._minute: int = -1
        self._units: list[float] = [0.0, 0.0]
        self.most: list[float] = [0.0, 0.0]
        self.reads: list[float] = [0.0, 0.0]  # units and their number
        self.writes: list[float] = [0.0, 0.0]

    def add(self, when: float, operation: str, read: float, write: float) -> None:
        """Count the units of one request."""
        minute = int(when // 60)
        if minute > self._minute:
            self._minute, self._units = minute, [0.0, 0.0]
        now, most = self._units, self.most
        now[0] += read
        now[1] += write
        if now[0] > most[0]:  # noqa: PLR1730 - for each note: a comparison is quicker than max()
            most[0] = now[0]
        if now[1] > most[1]:  # noqa: PLR1730 - as above
            most[1] = now[1]
        if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
            self.writes[0] += write
            self.writes[1] += 1
        elif operation == "GetItem":
            self.reads[0] += read
            self.reads[1] += 1


class Stretch:
    """What was taken in a part of one month, by table, from ``start`` of the steady clock on: a day at the longest."""

    __slots__ = ("start", "streams", "units")

    def __init__(self, start: float) -> None:
        self.start: float = start
        self.units: dict[str, list[float]] = {}
        self.streams: int = 0


class Ledger:
    """The books of one database: ``entries`` since `reset`, ``stretches`` for what is asked of a month.

    ``note(...)`` leaves a note in ``notes``, from any thread.

    ``since`` is the time of the steady clock at which the entries begin, ``born`` that of the ledger itself.
    """

    def __init__(self, times: Times, max_scopes: int) -> None:
        self._times = times
        self._max_scopes = max_scopes
        self.start()

    def start(self) -> None:
        """Begin with nothing: also in a child process, where what was noted is the parent's."""
        self._lock = threading.Lock()
        self.notes: deque[Note] = deque()
        self.note: Callable[[Note], None] = self.notes.append
        self.born: float = self._times.steady()
        self._shift: float = self._times.wall() - self.born
        self.stretches: deque[Stretch] = deque((Stretch(self.born),))
        self._clear()

    def _clear(self) -> None:
        self.since: float = self._times.steady()
        self.entries: dict[Key, list[float]] = {}
        self.traffic: dict[str, Traffic] = {}
        self.streams: int = 0
        self.scopes: set[tuple[tuple[str, str], ...]] = set()

    def reset(self) -> None:
        """Forget the entries; what has been taken in this month stays."""
        self.settle()
        with self._lock:
            self._clear()

    def settle(self, *, wait: bool = True) -> None:
        """Add the notes up. Without ``wait`` somebody else who is at it is left to it."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            self._look_up()
            take = self.notes.popleft
            for _ in range(len(self.notes)):
                self._add(*take())
            oldest = self._times.steady() - LONGEST
            while len(self.stretches) > 1 and self.stretches[0].start < oldest:
                self.stretches.popleft()
        finally:
            self._lock.release()

    def rows(self) -> list[tuple[Key, tuple[float, ...]]]:
        """All entries as they are now."""
        self.settle()
        with self._lock:
            return [(key, tuple(units)) for key, units in self.entries.items()]

    def of_month(self) -> tuple[str, dict[str, tuple[float, float]], int]:
        """The present month, and what has been taken in it: read and write units by table, and requests of streams."""
        self.settle()
        month, streams = self.month_at(self._times.steady()), 0
        units: dict[str, tuple[float, float]] = {}
        with self._lock:
            for stretch in self.stretches:
                if self.month_at(stretch.start) != month:
                    continue
                streams += stretch.streams
                for table, (read, write) in stretch.units.items():
                    before = units.get(table, (0.0, 0.0))
                    units[table] = before[0] + read, before[1] + write
        return month, units, streams

    def _look_up(self) -> None:
        shift = self._times.wall() - self._times.steady()
        if abs(shift - self._shift) > STILL:
            self._shift = shift

    def wall_at(self, when: float) -> float:
        """Unix time of a time of the steady clock, by the wall clock as it is set now."""
        self._look_up()
        return when + self._shift

    def month_at(self, when: float) -> str:
        """The UTC month of a time of the steady clock, as the wall clock was set when notes were last added up."""
        return month_of(when + self._shift)

    def _stretch(self, when: float) -> Stretch:
        last = self.stretches[-1]
        if when - last.start >= DAY or self.month_at(when) != self.month_at(last.start):
            last = Stretch(when)
            self.stretches.append(last)
        return last

    def _add(
        self,
        when: float,
        column: int,
        operation: str,
        verb: str | None,
        model: type[Any] | None,
        scope: Mapping[str, str],
        parts: Iterable[Any],
    ) -> None:
        stretch = self._stretch(when)
        if column == STREAMS:
            self.streams += 1
            stretch.streams += 1
            return
        of = self._scope(scope)
        for part in parts:
            read, write = part.read_units, part.write_units
            key = Key(verb, model, of, part.table, part.index)
            entry = self.entries.get(key)
            if entry is None:
                entry = self.entries[key] = [0.0] * 8
            entry[column] += read
            entry[column + 1] += write
            if column == MISSING:
                entry[ESTIMATED] += read
                entry[ESTIMATED + 1] += write
            if column in (REPORTED, MISSING):
                units = stretch.units.setdefault(part.table, [0.0, 0.0])
                units[0] += read
                units[1] += write
                traffic = self.traffic.get(part.table)
                if traffic is None:
                    traffic = self.traffic[part.table] = Traffic()
                traffic.add(when, operation if part.index is None and column == REPORTED else "", read, write)

    def _scope(self, scope: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        if not scope:
            return ()
        of = tuple(sorted(scope.items()))
        if of not in self.scopes:
            if len(self.scopes) >= self._max_scopes:
                return OTHER
            self.scopes.add(of)
        return of
