"""``backfill``: a function of the user's own over all items of a table, while others go on writing them.

A change is stored only while the attributes that it changes are as they were read; else the item is read again, and the function
asked again. A run that was killed goes on behind the last page that was done whole, so an item may be given to the function twice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import decode, encode

from dynamorm.codec.types.document import from_wire, to_wire
from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.errors import DynamORMError

from ..ends import Code, Stop, end_of
from ..plain import Wire
from ..settings import Settings, Table
from .checkpoint import Checkpoint, going_on
from .pace import Pace, resumable
from .progress import Progress

_TRIES: Final = 8
_SHOWN: Final = 20


class Backfill(Struct, frozen=True):
    """What is to be done, and how."""

    table: str
    function: str
    segments: int
    dry_run: bool
    checkpoint: Path | None


def backfill(settings: Settings, wanted: Backfill, function: Callable[..., Any], *, pace: Pace, restart: bool) -> None:
    """Run the function over the table. Raises: Stop, also where changes were refused."""
    progress = Progress(settings.out, f"backfill of {wanted.table}", settings.db.config.region)
    table = settings.table(wanted.table, spent=progress.read)
    progress.total = table.shape.item_count or None
    if wanted.dry_run:
        run = _Run(settings, wanted, table, function, None, pace, progress)
        with resumable("nothing was changed"):
            run.all()
        progress.end()
        run.told()
        return
    place = wanted.checkpoint or Path(f".dynamorm-backfill-{table.name}-{wanted.function.replace(':', '-')}.checkpoint")
    asked = {
        "command": "backfill",
        "table": [table.name, str(table.db.config.endpoint)],
        "function": wanted.function,
        "segments": wanted.segments,
    }
    with going_on(place, asked, restart=restart) as checkpoint:
        run = _Run(settings, wanted, table, function, checkpoint, pace, progress)
        run.all()
    progress.end()
    run.told()


class _Counts(Struct):
    """Of a page, or of all."""

    items: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    refused: int = 0

    def add(self, other: dict[str, Any]) -> None:
        """Add those of a checkpoint line, or of a page."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + other[name])


class _Run:
    """One run of a backfill."""

    def __init__(
        self,
        settings: Settings,
        wanted: Backfill,
        table: Table,
        function: Callable[..., Any],
        checkpoint: Checkpoint | None,
        pace: Pace,
        progress: Progress,
    ) -> None:
        self._out = settings.out
        self._wanted = wanted
        self._table = table
        self._function = function
        self._checkpoint = checkpoint
        self._pace = pace
        self._progress = progress
        self._names: dict[str, int] = {}
        self._counts = _Counts()
        self._last: dict[int, dict[str, Any]] = {}
        for line in checkpoint.lines if checkpoint is not None else ():
            self._last[line["segment"]] = line
            self._counts.add(line)

    def all(self) -> None:
        """Do what no earlier run has done."""
        self._progress.begin(self._counts.items)
        segments = range(self._wanted.segments)
        left = [one for one in segments if one not in self._last or self._last[one]["key"] is not None]
        self._pace.side_by_side(self._segment, left, self._wanted.segments)

    def _segment(self, number: int) -> None:
        table, total = self._table, self._wanted.segments
        said: dict[str, Any] = {"Segment": number, "TotalSegments": total} if total > 1 else {}
        said |= self._pace.page_limit(total)
        start = encode(self._last[number]["key"]) if number in self._last else None
        while True:
            page = self._pace.patient(partial(table.page, "Scan", said, start))
            counts = _Counts(items=page.count)
            for item in page.items:
                self._pace.take(1)
                self._item(item, counts)
                self._progress.done(1)
            start = page.last_key
            line = {name: getattr(counts, name) for name in counts.__struct_fields__}
            if self._checkpoint is not None:
                self._checkpoint.add({"segment": number, "key": None if start is None else Raw(start), **line})
            self._counts.add(line)
            if start is None:
                return

    def _item(self, item: dict[str, Wire], counts: _Counts) -> None:
        table = self._table
        key = encode({name: item[name] for name in table.keys})
        for _ in range(_TRIES):
            after = self._asked(item)
            if after is None:
                counts.unchanged += 1
                return
            for name in changed(item, after):
                self._names[name] = self._names.get(name, 0) + 1
            if self._wanted.dry_run:
                counts.changed += 1
                return
            try:
                done = self._pace.patient(partial(_replaced, table, key, item, after))
            except DynamORMError as error:
                if error.retryable:
                    raise
                counts.refused += 1
                if self._counts.refused + counts.refused <= _SHOWN:
                    self._out.note(f"a change was refused: {end_of(error).message}")
                return
            if done:
                counts.changed += 1
                return
            found = self._pace.patient(lambda: table.run(table.raw.get(key, consistent=True)))
            if found is None:
                counts.gone += 1
                return
            item = decode(found)
        counts.refused += 1
        self._out.note(f"an item was changed by others {_TRIES} times while it was read: run the command again for it")

    def _asked(self, item: dict[str, Wire]) -> dict[str, Wire] | None:
        """What the function makes of an item; None where it leaves it as it is. Raises: Stop."""
        values = {name: from_wire(wire) for name, wire in item.items()}
        try:
            found = self._function(values)
        except Exception as error:
            raise Stop(
                Code.RESUMABLE,
                f"{self._wanted.function} raised {type(error).__name__}: mend it, and run the command again",
            ) from error
        if found is None:
            return None
        if not isinstance(found, dict):
            raise Stop(Code.USAGE, f"{self._wanted.function} gave a {type(found).__name__}: it gives the item, or None")
        after = {name: self._wire(name, value, item) for name, value in found.items()}
        moved = next((name for name in self._table.keys if after.get(name) != item[name]), None)
        if moved is not None:
            raise Stop(
                Code.REFUSED, f"{self._wanted.function} changes {moved!r}, which is in the key: items cannot be moved"
            )
        return after if changed(item, after) else None

    def _wire(self, name: str, value: Any, item: dict[str, Wire]) -> Wire:
        """The stored form of a value; what is as it was keeps its form."""
        try:
            made = decode(encode(to_wire(value)))
            before = item.get(name)
            if before is not None and decode(encode(to_wire(from_wire(before)))) == made:
                return before
        except Mismatch as error:
            raise Stop(
                Code.RESUMABLE, f"{self._wanted.function}: {name!r} {error.text}: mend it, and run the command again"
            ) from None
        wire: Wire = made
        return wire

    def told(self) -> None:
        """Tell the counts. Raises: Stop where changes were refused."""
        counts = self._counts
        done = {name: getattr(counts, name) for name in counts.__struct_fields__}
        self._out.row(
            table=self._table.name, dry_run=self._wanted.dry_run, **done, attributes=dict(sorted(self._names.items()))
        )
        if counts.refused:
            raise Stop(
                Code.REFUSED, f"{counts.refused} changes were refused, see what is said of them; all others are stored"
            )


def changed(before: dict[str, Wire], after: dict[str, Wire]) -> list[str]:
    """The names of the attributes in which two items differ."""
    return [name for name in {*before, *after} if before.get(name) != after.get(name)]


def _replaced(table: Table, key: bytes, before: dict[str, Wire], after: dict[str, Wire]) -> bool:
    done: bool = table.run(table.raw.replace(key, before, after))
    return done
