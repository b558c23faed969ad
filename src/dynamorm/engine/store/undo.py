"""Versions of the maps, as differences from one to the next: a snapshot copies nothing. It must not know what is stored.

Each version knows the version, or the present, that came of it, and what that has otherwise. To go back to a version, the
differences on the way to it are applied together and turned around: each of its neighbours then differs from it. So versions are
independent of one another, and a version that nobody holds any more costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias
from weakref import ref

Row: TypeAlias = "tuple[int, bytes]"
Place: TypeAlias = "tuple[int, bytes]"
"""The number of a map, and a key in it."""
Rows: TypeAlias = "dict[Place, Row | None]"


class Version:
    """What the maps held at one time."""

    __slots__ = ("__weakref__", "later", "rows")

    def __init__(self) -> None:
        self.later: Version | None = None
        """The version this one differs from; None for the present."""
        self.rows: Rows = {}
        """What differs, as this version has it."""


class Versions:
    """The versions that are still held."""

    def __init__(self) -> None:
        self._last: Callable[[], Version | None] = _none

    def last(self) -> Version | None:
        """The version from which the present differs, where anybody still holds one."""
        return self._last()

    def take(self) -> Version:
        """The present as a version."""
        last = self._last()
        if last is not None and not last.rows:
            return last
        version = Version()
        if last is not None:
            last.later = version
        self._last = ref(version)
        return version

    def back(self, version: Version, get: Callable[[Sequence[Place]], Rows], put: Callable[[Rows], None]) -> None:
        """Make the present what a version is. ``get`` reads rows of the present; ``put`` stores rows, all of them or none.

        Whatever interrupts it, everything is then as it was.
        """
        way: list[Version] = []
        one: Version | None = version
        while one is not None:
            way.append(one)
            one = one.later
        wanted: Rows = {}
        present: Rows = {}
        turned: list[tuple[Version, Version | None, Rows]] = [(version, None, {})]
        newer: Version | None = None
        for one in reversed(way):  # from the present towards the version
            present |= get([place for place in one.rows if place not in present])
            if newer is not None:
                turned.append((newer, one, {place: wanted.get(place, present[place]) for place in one.rows}))
            wanted.update(one.rows)
            newer = one
        former = [(one, one.later, one.rows) for one in way]
        last = self._last
        try:
            put(wanted)
            _set(turned)
            self._last = ref(version)
        except BaseException:  # a handler of signals may raise anywhere
            _set(former)
            self._last = last
            put(present)
            raise


def _set(versions: list[tuple[Version, Version | None, Rows]]) -> None:
    for one, later, rows in versions:
        one.later, one.rows = later, rows


def _none() -> Version | None:
    return None
