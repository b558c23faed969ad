"""What the maps held a moment ago, for reads that may be old. It must not know items.

Only an engine that was told to answer so keeps one: `dynamorm.engine.Engine`, ``staleness`` and ``gsi_delay``.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from dynamorm.engine.store.store import Change, Map
    from dynamorm.engine.store.undo import Place, Row

Age: TypeAlias = Callable[[], float]
"""How many seconds ago the next row is looked at."""


class Past:
    """What was in the maps within the last ``staleness`` or ``gsi_delay`` seconds. ``seed`` makes the dice fall alike."""

    def __init__(self, staleness: float, gsi_delay: float, seed: int, now: Callable[[], float]) -> None:
        self._staleness = staleness
        self._gsi_delay = gsi_delay
        self._kept = max(staleness, gsi_delay)
        self._dice = Random(seed)  # noqa: S311 - dice that can be thrown again alike, and no secret
        self.now = now
        self._rows: dict[Place, deque[tuple[float, Row | None]]] = {}
        self._order: deque[tuple[float, Place]] = deque()

    def note(self, changes: Sequence[Change]) -> None:
        """Remember what changes replace."""
        now = self.now()
        for of, key, old, _ in changes:
            place = of.number, key
            self._rows.setdefault(place, deque()).append((now, old))
            self._order.append((now, place))
        while self._order and self._order[0][0] < now - self._kept:
            _, place = self._order.popleft()
            rows = self._rows[place]
            rows.popleft()
            if not rows:
                del self._rows[place]

    def clear(self) -> None:
        """Forget everything: the maps were changed behind this."""
        self._rows.clear()
        self._order.clear()

    def old(self, number: int, key: bytes, row: Row | None, age: float) -> Row | None:
        """The row that was at a key of a map ``age`` seconds ago; now it is ``row``."""
        moment = self.now() - age
        for until, before in self._rows.get((number, key), ()):
            if until > moment:
                return before
        return row

    def changed(self, number: int, low: bytes, high: bytes) -> list[bytes]:
        """The keys of a range of a map that hold, or held, something else."""
        return sorted(key for of, key in self._rows if of == number and low <= key < high)

    def _drawn(self) -> float:
        """How old what is read may be, in seconds: 0 in half of the cases, else up to ``staleness``."""
        dice = self._dice
        return dice.random() * self._staleness if dice.random() < 0.5 else 0.0

    def of_items(self, of: Map) -> Map | Earlier:
        """A table's items for eventual reads: each may be old, or not."""
        return Earlier(of, self, self._drawn) if self._staleness else of

    def of_index(self, entries: Map, items: Map, *, is_global: bool) -> tuple[Map | Earlier, Map | Earlier]:
        """An index and its table's items for eventual reads, both as they were at one time."""
        age = self._gsi_delay if is_global else self._drawn()
        return (Earlier(entries, self, lambda: age), Earlier(items, self, lambda: age)) if age else (entries, items)


class Earlier:
    """A map as it was: how long ago, ``age`` says for each row."""

    __slots__ = ("_age", "_of", "_past")

    def __init__(self, of: Map, past: Past, age: Age) -> None:
        self._of = of
        self._past = past
        self._age = age

    def get(self, key: bytes) -> Row | None:
        """The row that was at a key."""
        return self._past.old(self._of.number, key, self._of.get(key), self._age())

    def range(self, low: bytes, high: bytes, *, backwards: bool = False) -> Iterator[tuple[bytes, int, bytes]]:
        """Keys and rows that were from ``low`` to below ``high``, in order or in reverse."""
        past, number = self._past, self._of.number
        changed = past.changed(number, low, high)
        now: Iterator[tuple[bytes, Row | None]] = (
            (key, (size, data)) for key, size, data in self._of.range(low, high, backwards=backwards)
        )
        gone: Iterator[tuple[bytes, Row | None]] = (
            (key, None) for key in (reversed(changed) if backwards else changed) if self._of.get(key) is None
        )
        for key, row in heapq.merge(now, gone, key=lambda one: one[0], reverse=backwards):
            found = past.old(number, key, row, self._age())
            if found is not None:
                yield (key, *found)
