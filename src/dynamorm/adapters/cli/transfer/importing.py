"""``import``: the items of a file into a table, by workers of which each has its keys: what comes twice is put in order.

Putting an item again changes nothing, so a run that was killed goes on behind the items that are known to be stored.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec

from dynamorm.errors import ClientError, OutcomeUnknown, ValidationError
from dynamorm.features.raw import MAX_PUTS

from ..ends import Code, Stop, end_of
from ..formats import csvs, jsonl, parquet, s3
from ..formats.manifest import check_file, read_manifest
from ..plain import NotAnItem, Wire
from ..settings import Settings, Table
from .checkpoint import Checkpoint, going_on
from .pace import Ended, Pace
from .progress import Progress

_EVERY: Final = 2_000
_SHOWN: Final = 20
_BATCH_BYTES: Final = 8 * 1024 * 1024
_QUEUED: Final = 4
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Import(msgspec.Struct, frozen=True):
    """What is to be imported, and how."""

    table: str
    path: Path
    format: str
    workers: int
    if_absent: bool
    types: dict[str, str]
    checkpoint: Path | None


class _Entry(NamedTuple):
    """One item on its way: its number in the file, its key, and its JSON."""

    number: int
    key: bytes
    item: bytes


def import_(settings: Settings, wanted: Import, *, pace: Pace, restart: bool) -> Code:
    """Import a file. Returns the exit code: 1 where items were refused. Raises: Stop."""
    if not wanted.path.exists():
        raise Stop(Code.USAGE, f"there is no {wanted.path}")
    if wanted.path.is_dir() != (wanted.format == "dynamodb-json"):
        raise Stop(
            Code.USAGE, f"{wanted.path} is {'a folder' if wanted.path.is_dir() else 'no folder'}: give another --format"
        )
    progress = Progress(settings.out, f"import into {wanted.table}", settings.db.config.region)
    table = settings.table(wanted.table, spent=progress.wrote)
    source, progress.total = _source(wanted, table)
    place = wanted.checkpoint or wanted.path.with_name(f".{wanted.path.name}.import-{table.name}.checkpoint")
    with going_on(place, _asked(table, wanted), restart=restart) as checkpoint:
        run = _Run(settings, table, wanted, checkpoint, pace, progress)
        run.all(source)
    progress.end()
    return run.told()


def _asked(table: Table, wanted: Import) -> dict[str, Any]:
    stat = (wanted.path / s3.FILES if wanted.format == "dynamodb-json" else wanted.path).stat()
    return {
        "command": "import",
        "table": table.name,
        "endpoint": str(table.db.config.endpoint),
        "path": str(wanted.path.resolve()),
        "format": wanted.format,
        "size": stat.st_size,
        "modified": stat.st_mtime_ns,
        "if_absent": wanted.if_absent,
        "types": wanted.types,
    }


def _source(wanted: Import, table: Table) -> tuple[Iterator[dict[str, Wire] | NotAnItem], int | None]:
    """The items, and how many there are, if that is known. What a manifest says is checked first. Raises: Stop."""
    if wanted.format == "dynamodb-json":
        return s3.read(wanted.path), sum(file.items for file in s3.files_of(wanted.path))
    manifest = read_manifest(wanted.path)
    if manifest is not None:
        if manifest.format != wanted.format:
            raise Stop(
                Code.USAGE, f"{wanted.path} is {manifest.format}, by its manifest: give --format {manifest.format}"
            )
        check_file(wanted.path, manifest)
    total = None if manifest is None else manifest.items
    if wanted.format == "jsonl":
        return jsonl.read(wanted.path, table.keys), total
    if wanted.format == "csv":
        return csvs.read(wanted.path, manifest, table.shape.key_types | wanted.types), total
    return parquet.read(wanted.path), total


class _Run:
    """One run of an import."""

    def __init__(
        self,
        settings: Settings,
        table: Table,
        wanted: Import,
        checkpoint: Checkpoint,
        pace: Pace,
        progress: Progress,
    ) -> None:
        self._out = settings.out
        self._table = table
        self._wanted = wanted
        self._checkpoint = checkpoint
        self._pace = pace
        self._progress = progress
        self._lock = threading.Lock()
        last = checkpoint.lines[-1] if checkpoint.lines else {"items": 0, "refused": 0}
        self._done: int = last["items"]  # of the items before it all are known to be stored, or refused
        self._behind: set[int] = set()  # those after it
        self._before: int = last["refused"]
        self._refused: list[int] = []
        self._told = self._done
        self._read = self._done
        self._errors: list[BaseException] = []
        self._queues: list[queue.Queue[_Entry | None]] = [
            queue.Queue(_QUEUED * MAX_PUTS) for _ in range(wanted.workers)
        ]

    def all(self, source: Iterator[dict[str, Wire] | NotAnItem]) -> None:
        """Read the items, and let the workers store them. Raises: the first error of a worker."""
        self._progress.begin(self._done)
        threads = [threading.Thread(target=self._work, args=(one,), daemon=True) for one in self._queues]
        for thread in threads:
            thread.start()
        try:
            self._hand_out(source)
        except Ended:
            pass
        except BaseException:
            self._pace.stopped.set()
            raise
        finally:
            for one in self._queues:
                self._put(one, None)
            for thread in threads:
                thread.join()
            self._note(last=True)
        if self._errors:
            raise self._errors[0]

    def _hand_out(self, source: Iterator[dict[str, Wire] | NotAnItem]) -> None:
        keys = self._table.keys
        for number, item in enumerate(source):
            if number < self._done:
                continue
            self._read = number + 1
            if isinstance(item, NotAnItem):
                self._refuse(number, str(item))
                continue
            missing = next((name for name in keys if name not in item), None)
            if missing is not None:
                self._refuse(number, f"it has no {missing!r}, which is in the key of the table")
                continue
            key = _encode([item[name] for name in keys])
            self._pace.take(1)
            self._put(self._queues[crc32(key) % len(self._queues)], _Entry(number, key, _encode(item)))

    def _put(self, to: queue.Queue[_Entry | None], entry: _Entry | None) -> None:
        while True:
            try:
                to.put(entry, timeout=0.2)
            except queue.Full:
                if self._pace.stopped.is_set():
                    if entry is None:
                        return  # the worker ends by itself
                    raise Ended from None
            else:
                return

    def _work(self, entries: queue.Queue[_Entry | None]) -> None:
        try:
            for batch in _batches(entries, self._pace):
                self._store(batch)
        except Ended:
            return
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._errors.append(error)
            self._pace.stopped.set()

    def _store(self, batch: list[_Entry]) -> None:
        if self._wanted.if_absent:
            for entry in batch:
                self._store_absent(entry)
            return
        items, keys = [entry.item for entry in batch], self._table.keys
        table = self._table
        refused = dict(self._pace.patient(lambda: table.run(table.raw.write(items, keys))))
        for at, entry in enumerate(batch):
            if at in refused:
                self._refuse(entry.number, end_of(refused[at]).message)
        self._settle([entry.number for at, entry in enumerate(batch) if at not in refused])

    def _store_absent(self, entry: _Entry) -> None:
        table = self._table

        def put() -> bytes | None:
            return table.run(table.raw.put_absent(entry.item, table.shape.partition))  # type: ignore[no-any-return] # flows are not typed

        try:
            there = self._pace.patient(put)
        except OutcomeUnknown:
            raise
        except (ValidationError, ClientError) as error:
            self._refuse(entry.number, end_of(error).message)
            return
        if there is not None and not same(_decode(there), _decode(entry.item)):
            self._refuse(entry.number, "there is another item with its key")
            return
        self._settle([entry.number])

    def _refuse(self, number: int, why: str) -> None:
        with self._lock:
            self._refused.append(number)
            shown = len(self._refused) <= _SHOWN
        if shown:
            self._out.note(f"item {number + 1} was refused: {why}")
        self._settle([number])

    def _settle(self, numbers: list[int]) -> None:
        """These items are stored, or refused for good."""
        with self._lock:
            self._behind.update(numbers)
            while self._done in self._behind:
                self._behind.remove(self._done)
                self._done += 1
            due = self._done - self._told >= _EVERY
        self._progress.done(len(numbers))
        if due:
            self._note()

    def _note(self, *, last: bool = False) -> None:
        with self._lock:
            if self._done == self._told and not last:
                return
            self._told = done = self._done
            refused = self._before + sum(number < done for number in self._refused)
        self._checkpoint.add({"items": done, "refused": refused})

    def told(self) -> Code:
        """Tell the counts. Returns the exit code. Raises: Stop where they do not add up."""
        refused = self._before + len(self._refused)
        written = self._done - refused
        self._out.row(table=self._table.name, read=self._read, written=written, refused=refused)
        if self._read != self._done:
            raise Stop(Code.REFUSED, f"{self._read - self._done} items are neither stored nor refused: run it again")
        if refused:
            raise Stop(Code.REFUSED, f"{refused} items were refused, see what is said of them; all others are stored")
        return Code.DONE


def _batches(entries: queue.Queue[_Entry | None], pace: Pace) -> Iterator[list[_Entry]]:
    """What comes, in batches of different keys; a batch does not wait for its last items."""
    batch: dict[bytes, _Entry] = {}
    size = 0
    while True:
        entry: _Entry | None
        try:
            entry = entries.get(timeout=0.05 if batch else 0.2)
        except queue.Empty:
            pace.check()
            if batch:
                yield list(batch.values())
                batch, size = {}, 0
            continue
        pace.check()
        if batch and (entry is None or entry.key in batch or len(batch) == MAX_PUTS or size > _BATCH_BYTES):
            yield list(batch.values())
            batch, size = {}, 0
        if entry is None:
            return
        batch[entry.key] = entry
        size += len(entry.item)


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
