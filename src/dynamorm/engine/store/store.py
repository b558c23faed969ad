"""What every store has: ordered maps of keys to rows, changes of them that are made together, and versions. It must not know items.

`dynamorm.engine.store.memory` keeps them in memory, `dynamorm.engine.store.file` in a file of SQLite.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from dynamorm.engine.store.undo import Row, Rows, Snapshot, Versions


class Map(Protocol):
    """One ordered map of keys to rows: a size, and bytes."""

    number: int

    @property
    def get(self) -> Callable[[bytes], Row | None]:
        """The row at a key."""
        raise NotImplementedError

    def range(self, low: bytes, high: bytes, *, backwards: bool = False) -> Iterator[tuple[bytes, int, bytes]]:
        """Keys and rows from ``low`` to below ``high``, in order or in reverse."""
        raise NotImplementedError

    def counted(self) -> tuple[int, int]:
        """How many rows there are, and their sizes all told."""
        raise NotImplementedError

    def find_size(self, low: bytes, high: bytes) -> int:
        """The sizes of a range all told."""
        raise NotImplementedError


Change: TypeAlias = "tuple[Any, bytes, Row | None, Row | None]"
"""A map, a key in it, what is there, and what is to be there."""


class Store:
    """Every map of an engine: ``numbers`` are theirs. ``path`` is a file, None for memory."""

    numbers: set[int]
    path: str | None

    def __init__(self, path: str | None, numbers: Iterable[int]) -> None:
        self.path = path
        self.numbers = set(numbers)
        self._next = max(self.numbers, default=0) + 1
        self.versions: Versions = Versions()
        self.watch: Callable[[Sequence[Change]], None] | None = None
        """Is told of changes that were made."""

    def numbered(self, number: int | None) -> int:
        """A number of a map, or that of a new one."""
        if number is None:
            number = self._next
        self._next = max(self._next, number + 1)
        return number

    def map(self, number: int | None = None) -> Map:
        """The map with a number, or a new one."""
        raise NotImplementedError

    def forget(self, number: int) -> None:
        """Give back the room of a map."""
        raise NotImplementedError

    def make(self, changes: Sequence[Change]) -> None:
        """Make changes: all of them, or none."""
        raise NotImplementedError

    def put_rows(self, rows: Rows, found: Rows) -> None:
        """Store rows: all of them, or none. What is there is put into ``found`` before."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything into a file, which an engine can open."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file, or give back the room."""
        raise NotImplementedError

    @property
    def held(self) -> bool:
        """Whether anybody holds a version, which may have maps that the present has not."""
        return self.versions.last() is not None

    def drop(self, numbers: set[int]) -> None:
        """Forget maps. The caller has seen that no version is `held`."""
        for number in numbers:
            self.forget(number)
            self.numbers.discard(number)

    def apply(self, changes: Sequence[Change]) -> None:
        """Make changes: all of them, or none where it fails."""
        last = self.versions.last()
        if last is not None:
            rows = last.rows
            for of, key, old, _ in changes:
                kept = rows.get(of.number)
                if kept is None:
                    kept = rows[of.number] = {}
                kept.setdefault(key, old)
        self.make(changes)
        if self.watch is not None:
            self.watch(changes)

    def snapshot(self) -> Snapshot:
        """The present, to `restore`: nothing is copied."""
        return Snapshot(self.versions.take(), self.versions)

    def restore(self, snapshot: Snapshot) -> None:
        """Make the present what a snapshot holds; the cost goes by what differs. Raises: ConfigError for one of another store."""
        self.versions.back(snapshot.of(self.versions), self.put_rows)
