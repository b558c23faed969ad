"""The books: what has been taken, by verb, model, scope, table and index. It knows no prices and no requests.

An attempt only leaves a note, in a queue that needs no lock; the notes are added up when somebody asks, or when there are many.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

MANY: Final = 512
"""Notes after which they are added up by whoever leaves the next one: about 0.2 ms of work."""

REPORTED, ESTIMATED, MISSING, UNCERTAIN = 0, 2, 4, 6
"""Where the read units of a note are added; the write units stand behind. MISSING: estimated, because nothing was reported.
ESTIMATED: all that was estimated, MISSING and UNCERTAIN are no part of it."""
STREAMS: Final = -1
"""A note of one GetRecords."""

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
"""When, where it is added, the operation, verb, model, scope, and the parts."""


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


class Ledger:
    """The books of one database: ``entries`` since `reset`, ``month`` since the beginning of the UTC month.

    ``note(...)`` leaves a note in ``notes``, from any thread.

    ``since`` is the time of the wall clock at which the entries begin, ``born`` that of the ledger itself.
    """

    def __init__(self, clock: Callable[[], float], max_scopes: int) -> None:
        self._clock = clock
        self._max_scopes = max_scopes
        self.start()

    def start(self) -> None:
        """Begin with nothing: also in a child process, where what was noted is the parent's."""
        self._lock = threading.Lock()
        self.notes: deque[Note] = deque()
        self.note: Callable[[Note], None] = self.notes.append
        self.born: float = self._clock()
        self.month: str = month_of(self.born)
        self.month_units: dict[str, list[float]] = {}
        self.month_streams: int = 0
        self._clear()

    def _clear(self) -> None:
        self.since: float = self._clock()
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
            take = self.notes.popleft
            for _ in range(len(self.notes)):
                self._add(*take())
            self._turn(month_of(self._clock()))
        finally:
            self._lock.release()

    def rows(self) -> list[tuple[Key, tuple[float, ...]]]:
        """All entries as they are now."""
        self.settle()
        with self._lock:
            return [(key, tuple(units)) for key, units in self.entries.items()]

    def _turn(self, month: str) -> None:
        if month > self.month:
            self.month, self.month_units, self.month_streams = month, {}, 0

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
        month = month_of(when)
        self._turn(month)
        if column == STREAMS:
            self.streams += 1
            self.month_streams += month == self.month
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
                if month == self.month:
                    units = self.month_units.setdefault(part.table, [0.0, 0.0])
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


_DAY: Final = 86_400.0
_month: tuple[float, float, str] = (0.0, 0.0, "")


def month_of(when: float) -> str:
    """The UTC month of a time, ``"2026-11"``."""
    global _month  # noqa: PLW0603 - the last day that was asked for: thousands of notes are of one day
    begin, end, name = _month
    if not begin <= when < end:
        begin = when // _DAY * _DAY
        name = datetime.fromtimestamp(when, UTC).strftime("%Y-%m")
        _month = (begin, begin + _DAY, name)
    return name
