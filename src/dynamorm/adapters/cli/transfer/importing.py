"""``import``: the items of a file into a table, by workers that are given some of them at a time, unread.

Items of one key are stored in the order of the file: a chunk waits for those under way that have one of its keys. Putting an item
again changes nothing, so a run that was killed goes on behind the items that are known to be stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from dynamorm.errors import ClientError, OutcomeUnknown, ValidationError
from dynamorm.features.raw import MAX_PUTS

from ..ends import Code, Stop, end_of
from ..formats.format import Format, Key, Source
from ..plain import NotAnItem, Wire
from ..settings import Settings, Spent, Table
from .checkpoint import Checkpoint, going_on
from .executors import Workers, do
from .pace import Pace
from .pages import SHOWN
from .progress import Progress

_EVERY: Final = 2_000
_OFTEN: Final = 0.2
_BATCH_BYTES: Final = 8 * 1024 * 1024
_WORKERS: Final = 4
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Import(msgspec.Struct, frozen=True):
    """What is to be imported, and how."""

    table: str
    path: Path
    format: Format
    workers: Workers
    if_absent: bool
    types: dict[str, str]
    checkpoint: Path | None


class _Chunk(msgspec.Struct, frozen=True):
    """Some items of the file, unread: the number of the first one, how many there are, how many are done, and what was read."""

    first: int
    count: int
    done: int
    raw: Any


class _Entry(NamedTuple):
    """One item on its way: its number in the file, its key, and its JSON."""

    number: int
    key: bytes
    item: bytes


class _Stored(NamedTuple):
    """What became of a chunk: how many were refused, of some of them the number and why, and the units it took."""

    refused: int
    why: list[tuple[int, str]]
    units: float


def import_(settings: Settings, wanted: Import, *, pace: Pace, restart: bool) -> None:
    """Import a file. Raises: Stop, also where items were refused."""
    if not wanted.path.exists():
        raise Stop(Code.USAGE, f"there is no {wanted.path}")
    wanted.format.ready()
    wanted.format.check(wanted.path)
    progress = Progress(settings.out, f"import into {wanted.table}", settings.db.config.region)
    table = settings.table(wanted.table)
    key = Key(table.keys, table.shape.key_types | wanted.types)
    source, progress.total, unique = wanted.format.opened(wanted.path, key)
    place = wanted.checkpoint or wanted.path.with_name(f".{wanted.path.name}.import-{table.name}.checkpoint")
    with going_on(place, _asked(table, wanted), restart=restart) as checkpoint:
        run = _Run(settings, wanted, checkpoint, progress)
        run.all(table, source, pace, unique=unique)
    progress.end()
    run.told(table.name)


def _asked(table: Table, wanted: Import) -> dict[str, Any]:
    stat = wanted.format.stat(wanted.path)
    return {
        "command": "import",
        "table": table.place,
        "path": str(wanted.path.resolve()),
        "format": wanted.format.name,
        "size": stat.st_size,
        "modified": stat.st_mtime_ns,
        "if_absent": wanted.if_absent,
        "types": wanted.types,
    }


class _Storing:
    """What a worker does: it makes items of a chunk, and stores them in the order of the file."""

    def __init__(self, table: Table, source: Source, wanted: Import, pace: Pace) -> None:
        self._table = table
        self._source = source
        self._if_absent = wanted.if_absent
        self._pace = pace

    def __call__(self, chunk: _Chunk, _: str) -> tuple[_Stored, None]:
        """Store a chunk. Returns what became of it."""
        spent = Spent()
        table = self._table.counted(spent)
        refused: list[tuple[int, str]] = []
        entries = self._entries(chunk, table.keys, refused)
        for batch in _batches(entries):
            self._pace.take(len(batch))
            refused += self._absent(table, batch) if self._if_absent else self._store(table, batch)
        return _Stored(len(refused), refused[:SHOWN], spent.units), None

    def _entries(self, chunk: _Chunk, keys: tuple[str, ...], refused: list[tuple[int, str]]) -> Iterator[_Entry]:
        """The items of a chunk that are not done; what is none is refused."""
        for at, item in enumerate(self._source.items(chunk.raw)):
            number = chunk.first + at
            if at < chunk.done:
                continue
            if isinstance(item, NotAnItem):
                refused.append((number, str(item)))
                continue
            missing = next((name for name in keys if name not in item), None)
            if missing is not None:
                refused.append((number, f"it has no {missing!r}, which is in the key of the table"))
                continue
            yield _Entry(number, key_of(item, keys), _encode(item))

    def _store(self, table: Table, batch: list[_Entry]) -> list[tuple[int, str]]:
        items = [entry.item for entry in batch]
        refused = self._pace.patient(lambda: table.run(table.raw.write(items, table.keys)))
        return [(batch[at].number, end_of(error).message) for at, error in refused]

    def _absent(self, table: Table, batch: list[_Entry]) -> list[tuple[int, str]]:
        refused = []
        for entry in batch:
            why = self._put_absent(table, entry)
            if why is not None:
                refused.append((entry.number, why))
        return refused

    def _put_absent(self, table: Table, entry: _Entry) -> str | None:
        """Store an item where there is none. Returns why it was refused."""
        try:
            there = self._pace.patient(lambda: table.run(table.raw.put_absent(entry.item, table.keys[0])))
        except OutcomeUnknown:
            raise
        except (ValidationError, ClientError) as error:
            return end_of(error).message
        if there is not None and not same(_decode(there), _decode(entry.item)):
            return "there is another item with its key"
        return None


class _Run:
    """One run of an import: how far it is."""

    def __init__(self, settings: Settings, wanted: Import, checkpoint: Checkpoint, progress: Progress) -> None:
        self._out = settings.out
        self._wanted = wanted
        self._checkpoint = checkpoint
        self._progress = progress
        last = checkpoint.lines[-1] if checkpoint.lines else {"items": 0, "refused": 0}
        self._done: int = last["items"]  # those before it are all stored, or refused
        self._refused: int = last["refused"]
        self._read = self._noted = self._done
        self._noted_at = time.monotonic()
        self._shown = 0
        self._under_way: dict[int, frozenset[bytes]] = {}

    def all(self, table: Table, source: Source, pace: Pace, *, unique: bool) -> None:
        """Let workers store what no earlier run has stored. ``unique``: no two items of the file have one key."""
        self._progress.begin(self._done)
        work = _Storing(table, source, self._wanted, pace)
        chunks = self._chunks(source) if unique else self._in_order(source, table.keys)
        try:
            do(work, chunks, self._wanted.workers, pace, took=self._took, usual=_WORKERS)
        finally:
            self._note()

    def _chunks(self, source: Source) -> Iterator[_Chunk]:
        number = 0
        for count, raw in source.raw():
            if number + count > self._done:
                self._read = number + count
                yield _Chunk(number, count, max(0, self._done - number), raw)
            number += count

    def _in_order(self, source: Source, keys: tuple[str, ...]) -> Iterator[_Chunk | None]:
        """The chunks; before one with a key of those under way stands None, which waits for these."""
        for chunk in self._chunks(source):
            items = source.items(chunk.raw)
            mine = frozenset(
                key_of(item, keys) for item in items if not isinstance(item, NotAnItem) and item.keys() >= {*keys}
            )
            if any(not mine.isdisjoint(others) for others in self._under_way.values()):
                yield None
            self._under_way[chunk.first] = mine
            yield chunk

    def _took(self, chunk: _Chunk, stored: _Stored) -> None:
        self._under_way.pop(chunk.first, None)
        if chunk.first > self._done:
            return  # one before it is not done, of a run that was stopped
        for number, why in stored.why[: max(0, SHOWN - self._shown)]:
            self._out.note(f"item {number + 1} was refused: {why}")
        self._shown += len(stored.why)
        self._refused += stored.refused
        self._done = chunk.first + chunk.count
        self._progress.wrote(stored.units)
        self._progress.done(chunk.count - chunk.done)
        now = time.monotonic()
        if self._done - self._noted >= _EVERY or now - self._noted_at > _OFTEN:
            self._noted_at = now
            self._note()

    def _note(self) -> None:
        if self._done != self._noted:
            self._checkpoint.add({"items": self._done, "refused": self._refused})
            self._noted = self._done

    def told(self, table: str) -> None:
        """Tell the counts. Raises: Stop where items were refused, or the counts do not add up."""
        written = self._done - self._refused
        self._out.row(table=table, read=self._read, written=written, refused=self._refused)
        if self._read != self._done:
            raise Stop(Code.REFUSED, f"{self._read - self._done} items are neither stored nor refused: run it again")
        if self._refused:
            raise Stop(
                Code.REFUSED, f"{self._refused} items were refused, see what is said of them; all others are stored"
            )


def key_of(item: dict[str, Wire], keys: tuple[str, ...]) -> bytes:
    """What two items of one key have in common."""
    return _encode([item[name] for name in keys])


def _batches(entries: Iterator[_Entry]) -> Iterator[list[_Entry]]:
    """What comes, in batches of different keys."""
    batch: dict[bytes, _Entry] = {}
    size = 0
    for entry in entries:
        if batch and (entry.key in batch or len(batch) == MAX_PUTS or size > _BATCH_BYTES):
            yield list(batch.values())
            batch, size = {}, 0
        batch[entry.key] = entry
        size += len(entry.item)
    if batch:
        yield list(batch.values())


def same(one: dict[str, Wire], other: dict[str, Wire]) -> bool:
    """Whether two items hold the same: numbers by their values, sets in any order."""
    return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)


def _same(one: Wire, other: Wire) -> bool:
    if one.keys() != other.keys():
        return False
    ((tag, mine),) = one.items()
    theirs = other[tag]
    if tag == "N":
        return Decimal(mine) == Decimal(theirs)
    if tag == "NS":
        return {*map(Decimal, mine)} == {*map(Decimal, theirs)}
    if tag in {"SS", "BS"}:
        return {*mine} == {*theirs}
    if tag == "L":
        return len(mine) == len(theirs) and all(map(_same, mine, theirs))
    if tag == "M":
        return same(mine, theirs)
    equal: bool = mine == theirs
    return equal
