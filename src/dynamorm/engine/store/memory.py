"""The maps in memory: rows by their keys, and the keys in order, in blocks of a few hundred. It must not know items.

The order is brought up to date when a range is read. A key that is new is then put in its place within one block, so a map of
a million keys takes as long as a small one.
"""

from __future__ import annotations

import os
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from dynamorm.engine.store.file import FileStore
from dynamorm.engine.store.saved import check_new
from dynamorm.engine.store.store import Change, Map, Store
from dynamorm.engine.store.undo import Row, Rows

MOST: Final = 1024
"""Keys of a block at most; with more it becomes two."""

STEP: Final = 128
"""Keys that are taken of a block at a time."""


SORTED: Final = 4
"""With more than one of so many keys to put in their places, all are sorted anew."""


class MemoryMap:
    """One ordered map of keys to rows. ``rows`` is the truth; the blocks have its keys, but for those that came or went since."""

    __slots__ = ("_blocks", "_lasts", "_since", "get", "number", "rows")

    number: int

    def __init__(self, number: int) -> None:
        self.number = number
        self.rows: dict[bytes, Row] = {}
        self.get: Callable[[bytes], Row | None] = self.rows.get
        self._blocks: list[list[bytes]] = []
        self._lasts: list[bytes] = []
        """The last key of each block; no block is empty."""
        self._since: set[bytes] = set()
        """The keys that are either in a block or in ``rows``."""

    def put(self, key: bytes, row: Row) -> None:
        """Store a row."""
        rows = self.rows
        if key in rows:
            rows[key] = row
        else:
            rows[key] = row
            self._since ^= {key}

    def delete(self, key: bytes) -> None:
        """Forget a row, where there is one."""
        if self.rows.pop(key, None) is not None:
            self._since ^= {key}

    def replace(self, old: Mapping[bytes, Row | None], new: Mapping[bytes, Row | None]) -> None:
        """Store rows in the place of those that are there, or forget them where they are None. Both have the same keys."""
        if None not in old.values() and None not in new.values():
            self.rows.update(new)  # type: ignore[arg-type]  # it has no None
            return
        rows = self.rows
        for key, row in new.items():
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
        self._since ^= {key for key, row in new.items() if (row is None) is not (old[key] is None)}

    def _settle(self) -> None:
        """Put the keys that came or went since into their places, or take them out."""
        if len(self._since) > len(self.rows) // SORTED:
            self.sort()
            return
        try:
            for key in self._since:
                if key in self.rows:
                    self._insert(key)
                else:
                    self._remove(key)
            self._since.clear()
        except BaseException:  # a handler of signals may raise anywhere
            self.sort()
            raise

    def _insert(self, key: bytes) -> None:
        blocks, lasts = self._blocks, self._lasts
        at = bisect_left(lasts, key)
        if at < len(lasts):
            block = blocks[at]
            insort(block, key)
        elif not lasts:
            blocks.append([key])
            lasts.append(key)
            return
        else:
            at -= 1
            block = blocks[at]
            block.append(key)
            lasts[at] = key
        if len(block) > MOST:
            half = len(block) // 2
            blocks.insert(at + 1, block[half:])
            del block[half:]
            lasts.insert(at, block[-1])

    def _remove(self, key: bytes) -> None:
        blocks, lasts = self._blocks, self._lasts
        at = bisect_left(lasts, key)
        block = blocks[at]
        del block[bisect_left(block, key)]
        if not block:
            del blocks[at], lasts[at]
        else:
            lasts[at] = block[-1]

    def sort(self) -> None:
        """Put all keys in order anew."""
        keys = sorted(self.rows)
        blocks = [keys[at : at + MOST // 2] for at in range(0, len(keys), MOST // 2)]
        lasts = [block[-1] for block in blocks]
        # No call is between these: nothing interrupts them.
        self._blocks, self._lasts, self._since = blocks, lasts, set()

    def clear(self) -> None:
        """Forget everything."""
        self.rows.clear()
        self.sort()

    def keys(self, low: bytes, high: bytes, *, backwards: bool = False) -> Iterator[list[bytes]]:
        """The keys from ``low`` to below ``high``, in order or in reverse, some at a time."""
        if self._since:
            self._settle()
        return self._down(low, high) if backwards else self._up(low, high)

    def _up(self, low: bytes, high: bytes) -> Iterator[list[bytes]]:
        blocks, lasts = self._blocks, self._lasts
        at = bisect_left(lasts, low)
        begin = bisect_left(blocks[at], low) if at < len(blocks) else 0
        while at < len(blocks):
            block = blocks[at]
            ends_here = high <= lasts[at]
            end = bisect_left(block, high) if ends_here else len(block)
            while begin < end:
                yield block[begin : min(begin + STEP, end)]
                begin += STEP
            if ends_here:
                return
            at, begin = at + 1, 0

    def _down(self, low: bytes, high: bytes) -> Iterator[list[bytes]]:
        blocks, lasts = self._blocks, self._lasts
        at = bisect_left(lasts, high)
        if at == len(blocks):
            at -= 1
        end = bisect_left(blocks[at], high) if blocks else 0
        while at >= 0:
            block = blocks[at]
            begins_here = low > block[0]
            begin = bisect_left(block, low) if begins_here else 0
            while begin < end:
                first = max(begin, end - STEP)
                yield block[first:end][::-1]
                end = first
            if begins_here:
                return
            at -= 1
            end = len(blocks[at])

    def range(self, low: bytes, high: bytes, *, backwards: bool = False) -> Iterator[tuple[bytes, int, bytes]]:
        """Keys and rows from ``low`` to below ``high``, in order or in reverse."""
        rows = self.rows
        for keys in self.keys(low, high, backwards=backwards):
            for key in keys:
                size, data = rows[key]
                yield key, size, data

    def counted(self) -> tuple[int, int]:
        """How many rows there are, and their sizes all told."""
        return len(self.rows), sum([size for size, _ in self.rows.values()])

    def find_size(self, low: bytes, high: bytes) -> int:
        """The sizes of a range all told."""
        return sum([size for _, size, _ in self.range(low, high)])


class MemoryStore(Store):
    """Every map of an engine that is kept in memory alone."""

    def __init__(self) -> None:
        super().__init__(None, ())
        self._maps: dict[int, MemoryMap] = {}

    def map(self, number: int | None = None) -> Map:
        """The map with a number, or a new one."""
        number = self.numbered(number)
        found = self._maps.get(number)
        if found is None:
            found = self._maps[number] = MemoryMap(number)
            self.numbers.add(number)
        return found  # pyright: ignore[reportReturnType]  # it takes the function `get` of an instance for a method

    def forget(self, number: int) -> None:
        """Give back the room of a map."""
        found = self._maps.pop(number, None)
        if found is not None:
            found.clear()

    def make(self, changes: Sequence[Change]) -> None:
        """Make changes: all of them, or none where it is interrupted."""
        try:
            for of, key, _, new in changes:
                if new is None:
                    of.delete(key)
                else:
                    of.put(key, new)
        except BaseException:  # a handler of signals may raise anywhere
            self._unmake(changes)
            raise

    def _unmake(self, changes: Sequence[Change]) -> None:
        """Put back what was there."""
        touched: dict[int, MemoryMap] = {}
        for of, key, old, _ in reversed(changes):
            found = touched[of.number] = self._maps[of.number]
            if old is None:
                found.rows.pop(key, None)
            else:
                found.rows[key] = old
        for found in touched.values():
            found.sort()

    def put_rows(self, rows: Rows, found: Rows) -> None:
        """Store rows: all of them, or none where it is interrupted. What is there is put into ``found`` before."""
        maps: list[MemoryMap] = []
        try:
            for number, new in rows.items():
                of: Any = self.map(number)
                maps.append(of)
                get = of.rows.get
                found[number] = old = {key: get(key) for key in new}
                of.replace(old, new)
        except BaseException:  # as in `make`
            for of in maps:
                for key, row in found.get(of.number, {}).items():
                    if row is None:
                        of.rows.pop(key, None)
                    else:
                        of.rows[key] = row
                of.sort()
            raise

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything into a file, which an engine can open."""
        check_new(path)  # before the work
        other = FileStore(None)
        try:
            for number, of in self._maps.items():
                other.fill(number, of.range(b"", b"\xff" * 4096))
            other.save(path)
        finally:
            other.close()

    def close(self) -> None:
        """Give back the room."""
        for number in tuple(self._maps):
            self.forget(number)
