"""Versions of the maps, as differences from one to the next: a snapshot copies nothing. It must not know what is stored.

Each version knows the version, or the present, that came of it, and what that has otherwise. To go back to a version, the
differences on the way to it are applied and turned around: each of its neighbours then differs from it. So versions are
independent of one another, and a version that nobody holds any more costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias
from weakref import ref

Row: TypeAlias = "tuple[int, bytes]"
Place: TypeAlias = "tuple[int, bytes]"
"""The number of a map, and a key in it."""


class Version:
    """What the maps held at one time."""

    __slots__ = ("__weakref__", "later", "rows")

    def __init__(self) -> None:
        self.later: Version | None = None
        """The version this one differs from; None for the present."""
        self.rows: dict[Place, Row | None] = {}
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

    def back(self, version: Version, swap: Callable[[dict[Place, Row | None]], dict[Place, Row | None]]) -> None:
        """Make the present what a version is. ``swap`` stores rows, and returns what was in their places."""
        way: list[Version] = []
        one: Version | None = version
        while one is not None:
            way.append(one)
            one = one.later
        before: Version | None = None
        while way:  # from the present towards the version
            one = way.pop()
            found = swap(one.rows)
            if before is not None:
                before.later, before.rows = one, found
            one.later, one.rows = None, {}
            before = one
        self._last = ref(version)


def _none() -> Version | None:
    return None
