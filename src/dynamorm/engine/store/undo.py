"""Versions of the maps, as differences from one to the next: a snapshot copies nothing. It must not know what is stored.

Each version knows the version, or the present, that came of it, and what that has otherwise. To go back to a version, the
differences on the way to it are applied together and turned around: each of its neighbours then differs from it. So versions are
independent of one another, and a version that nobody holds any more costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias
from weakref import ref

from dynamorm.errors import ConfigError

Row: TypeAlias = "tuple[int, bytes]"
Place: TypeAlias = "tuple[int, bytes]"
"""The number of a map, and a key in it."""
Rows: TypeAlias = "dict[int, dict[bytes, Row | None]]"
"""Rows by the numbers of their maps and their keys; None for one that is not there."""


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

    def back(self, version: Version, put: Callable[[Rows, Rows], None]) -> None:
        """Make the present what a version is.

        ``put(rows, found)`` stores rows, all of them or none, and puts what is there into ``found`` before it does. Whatever interrupts
        it, everything is then as it was.
        """
        way: list[Version] = []
        one: Version | None = version
        while one is not None:
            way.append(one)
            one = one.later
        wanted = version.rows if len(way) == 1 else _together(way)
        present: Rows = {}
        former = [(one, one.later, one.rows) for one in way]
        last = self._last
        try:
            put(wanted, present)
            _set(_turned(way, present))
            self._last = ref(version)
        except BaseException:  # a handler of signals may raise anywhere
            _set(former)
            self._last = last
            put(present, {})
            raise


def _together(way: list[Version]) -> Rows:
    """What differs between the present and the first version of a way to it, as that has it."""
    found: Rows = {}
    for one in reversed(way):
        _add(found, one.rows)
    return found


def _turned(way: list[Version], present: Rows) -> list[tuple[Version, Version | None, Rows]]:
    """The versions of a way, each as it differs from its neighbour when the first one is the present."""
    found: list[tuple[Version, Version | None, Rows]] = [(way[0], None, {})]
    seen: Rows = {}
    newer: Version | None = None
    for one in reversed(way):  # from the present towards the version
        if newer is not None:
            rows = {
                number: {key: seen.get(number, {}).get(key, present[number][key]) for key in keys}
                for number, keys in one.rows.items()
            }
            found.append((newer, one, rows))
        _add(seen, one.rows)
        newer = one
    return found


def _add(rows: Rows, more: Rows) -> None:
    for number, found in more.items():
        rows.setdefault(number, {}).update(found)


def _set(versions: list[tuple[Version, Version | None, Rows]]) -> None:
    for one, later, rows in versions:
        one.later, one.rows = later, rows


def _none() -> Version | None:
    return None


class Snapshot:
    """What an engine held at one time. It costs what was written since, for as long as it is kept.

    Example: ``start = engine.snapshot(); ...; engine.restore(start)``
    """

    __slots__ = ("_of", "_version")

    def __init__(self, version: Version, of: Versions) -> None:
        self._version = version
        self._of = of

    def of(self, versions: Versions) -> Version:
        """Its version. Raises: ConfigError where it is of others.

        Example: none is needed, for `Engine.restore` asks it.
        """
        if self._of is not versions:
            raise ConfigError("this snapshot is of another engine: restore it into the one that it was taken of")
        return self._version

    def __repr__(self) -> str:
        return "<Snapshot of an Engine>"
