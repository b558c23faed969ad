"""``backfill``: a function of the user's own over all items of a table, while others go on writing them.

A change is stored only while the attributes that it changes are as they were read; else the item is read again, and the function
asked again. A run that was killed goes on behind the last page that was done whole, so an item may be given to the function twice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.json import decode, encode

from dynamorm.codec.strict import PageJson
from dynamorm.codec.types.document import from_wire, to_wire
from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.errors import DynamORMError

from ..ends import Code, Stop, end_of
from ..plain import Wire
from ..settings import Settings, Table
from .checkpoint import Checkpoint, going_on
from .executors import Workers
from .pace import Pace, resumable
from .pages import SHOWN, Done, Pages, over_all
from .progress import Progress

_TRIES: Final = 8
_COUNTS: Final = ("items", "changed", "unchanged", "gone", "refused")


class Backfill(Struct, frozen=True):
    """What is to be done, and how."""

    table: str
    function: str
    segments: int
    dry_run: bool
    checkpoint: Path | None
    workers: Workers = Workers()


def backfill(settings: Settings, wanted: Backfill, function: Callable[..., Any], *, pace: Pace, restart: bool) -> None:
    """Run the function over the table. Raises: Stop, also where changes were refused."""
    progress = Progress(settings.out, f"backfill of {wanted.table}", settings.db.config.region)
    table = settings.table(wanted.table)
    progress.total = table.shape.item_count or None
    work = _Backfilling(table, wanted, function, pace)
    if wanted.dry_run:
        run = _Run(settings, wanted, None)
        with resumable("nothing was changed"):
            over_all(work, pace, wanted.segments, wanted.workers, None, progress, run.took)
        progress.end()
        run.told(table.name)
        return
    place = wanted.checkpoint or Path(f".dynamorm-backfill-{table.name}-{wanted.function.replace(':', '-')}.checkpoint")
    asked = {
        "command": "backfill",
        "table": table.place,
        "function": wanted.function,
        "segments": wanted.segments,
    }
    with going_on(place, asked, restart=restart) as checkpoint:
        run = _Run(settings, wanted, checkpoint)
        progress.begin(run.counts["items"])
        over_all(work, pace, wanted.segments, wanted.workers, checkpoint, progress, run.took)
    progress.end()
    run.told(table.name)


class _Backfilling(Pages):
    """What a worker does with a page: it gives each item to the function, and stores what that has changed."""

    def __init__(self, table: Table, wanted: Backfill, function: Callable[..., Any], pace: Pace) -> None:
        super().__init__(table, wanted.segments, pace)
        self._wanted = wanted
        self._function = function

    def page(self, page: PageJson, done: Done) -> None:
        """Do the items of a page."""
        counts = Done()  # a page that is stopped half-way does not count, and its items are given to the function again
        for item in page.items:
            self.pace.take(1)
            self._item(item, counts)
        for name, count in counts.counts.items():
            done.add(name, count)
        for name, count in counts.names.items():
            done.names[name] = done.names.get(name, 0) + count
        done.notes += counts.notes

    def _item(self, item: dict[str, Wire], done: Done) -> None:
        table = self.table
        key = encode({name: item[name] for name in table.keys})
        for _ in range(_TRIES):
            after = self._asked(item)
            if after is None:
                done.add("unchanged")
                return
            for name in changed(item, after):
                done.names[name] = done.names.get(name, 0) + 1
            if self._wanted.dry_run:
                done.add("changed")
                return
            try:
                stored = self.pace.patient(partial(_replaced, table, key, item, after))
            except DynamORMError as error:
                if error.retryable:
                    raise
                done.add("refused")
                done.notes.append(f"a change was refused: {end_of(error).message}")
                return
            if stored:
                done.add("changed")
                return
            found = self.pace.patient(lambda: table.run(table.raw.get(key, consistent=True)))
            if found is None:
                done.add("gone")
                return
            item = decode(found)
        done.add("refused")
        done.notes.append(
            f"an item was changed by others {_TRIES} times while it was read: run the command again for it"
        )

    def _asked(self, item: dict[str, Wire]) -> dict[str, Wire] | None:
        """What the function makes of an item; None where it leaves it as it is. Raises: Stop."""
        values = {name: from_wire(wire) for name, wire in item.items()}
        try:
            found = self._function(values)
        except (Exception, SystemExit) as error:
            raise Stop(
                Code.RESUMABLE,
                f"{self._wanted.function} raised {type(error).__name__}: mend it, and run the command again",
            ) from error
        if found is None:
            return None
        if not isinstance(found, dict):
            raise Stop(Code.USAGE, f"{self._wanted.function} gave a {type(found).__name__}: it gives the item, or None")
        after = {name: self._wire(name, value, item) for name, value in found.items()}
        moved = next((name for name in self.table.keys if after.get(name) != item[name]), None)
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


class _Run:
    """One run of a backfill: what was done, earlier and now."""

    def __init__(self, settings: Settings, wanted: Backfill, checkpoint: Checkpoint | None) -> None:
        self._out = settings.out
        self._wanted = wanted
        self._names: dict[str, int] = {}
        self.counts: dict[str, int] = dict.fromkeys(_COUNTS, 0)
        self._shown = 0
        for line in checkpoint.lines if checkpoint is not None else ():
            self._add({name: line.get(name, 0) for name in _COUNTS})

    def _add(self, counts: dict[str, int]) -> None:
        for name, count in counts.items():
            self.counts[name] += count

    def took(self, done: Done) -> None:
        """Take what a worker has done."""
        self._add(done.counts)
        for name, count in done.names.items():
            self._names[name] = self._names.get(name, 0) + count
        for note in done.notes[: max(0, SHOWN - self._shown)]:
            self._out.note(note)
        self._shown += len(done.notes)

    def told(self, table: str) -> None:
        """Tell the counts. Raises: Stop where changes were refused."""
        self._out.row(
            table=table, dry_run=self._wanted.dry_run, **self.counts, attributes=dict(sorted(self._names.items()))
        )
        if self.counts["refused"]:
            raise Stop(
                Code.REFUSED,
                f"{self.counts['refused']} changes were refused, see what is said of them; all others are stored",
            )


def changed(before: dict[str, Wire], after: dict[str, Wire]) -> list[str]:
    """The names of the attributes in which two items differ."""
    return [name for name in {*before, *after} if before.get(name) != after.get(name)]


def _replaced(table: Table, key: bytes, before: dict[str, Wire], after: dict[str, Wire]) -> bool:
    done: bool = table.run(table.raw.replace(key, before, after))
    return done
