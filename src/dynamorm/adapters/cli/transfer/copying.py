"""``copy``: the items of one table into another one, there or elsewhere, page by page and segments side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from msgspec import Struct

from dynamorm.codec.strict import PageJson
from dynamorm.features.raw import MAX_PUTS, Refusal

from ..ends import Code, Stop, end_of
from ..settings import Options, Settings, Spent, Table
from .checkpoint import Checkpoint, going_on
from .executors import Workers
from .pace import Pace
from .pages import SHOWN, Done, Pages, over_all
from .progress import Progress


class Copy(Struct, frozen=True):
    """What is to be copied, and how. ``to``: where to, as far as that is another place."""

    source: str
    target: str
    to: Options
    segments: int
    consistent: bool
    checkpoint: Path | None
    workers: Workers = Workers()


def copy(settings: Settings, wanted: Copy, *, pace: Pace, restart: bool) -> None:
    """Copy a table. Raises: Stop, also where items were refused."""
    progress = Progress(settings.out, f"copy of {wanted.source}", settings.db.config.region)
    source = settings.table(wanted.source)
    other = settings.db if wanted.to == Options() else settings.open(wanted.to.over(settings.options))
    target = settings.table(wanted.target, other)
    if source.place == target.place:
        raise Stop(
            Code.USAGE,
            "a table is not copied onto itself: give another name, or --to-endpoint, --to-region, --to-profile or --to-prefix",
        )
    if _key(source) != _key(target):
        raise Stop(Code.REFUSED, f"{target.name} has the key {_key(target)}, and {source.name} has {_key(source)}")
    progress.total = source.shape.item_count or None
    place = wanted.checkpoint or Path(f".dynamorm-copy-{source.name}-{target.name}.checkpoint")
    asked = {
        "command": "copy",
        "from": source.place,
        "to": target.place,
        "segments": wanted.segments,
        "consistent": wanted.consistent,
    }
    with going_on(place, asked, restart=restart) as checkpoint:
        run = _Run(settings, checkpoint)
        progress.begin(run.read)
        over_all(
            _Copying(source, target, wanted, pace),
            pace,
            wanted.segments,
            wanted.workers,
            checkpoint,
            progress,
            run.took,
        )
    progress.end()
    run.told(target.name)


def _key(table: Table) -> str:
    return ", ".join(f"{name} ({table.shape.key_types[name]})" for name in table.keys)


class _Copying(Pages):
    """What a worker does with a page: it stores its items."""

    def __init__(self, source: Table, target: Table, wanted: Copy, pace: Pace) -> None:
        super().__init__(source, wanted.segments, pace, consistent=wanted.consistent)
        self._target = target

    def page(self, page: PageJson, done: Done) -> None:
        """Store the items of a page."""
        self.pace.take(page.count)
        spent = Spent()
        target = self._target.counted(spent)
        refused = 0
        for at in range(0, len(page.raws), MAX_PUTS):
            items = page.raws[at : at + MAX_PUTS]
            some = self.pace.patient(partial(_written, target, items))
            refused += len(some)
            done.notes += [
                f"an item of {len(items[place]):,} bytes was refused: {end_of(error).message}" for place, error in some
            ]
        done.add("refused", refused)
        done.wrote += spent.units


def _written(target: Table, items: list[bytes]) -> list[Refusal]:
    refused: list[Refusal] = target.run(target.raw.write(items, target.keys))
    return refused


class _Run:
    """One run of a copy: what was done, earlier and now."""

    def __init__(self, settings: Settings, checkpoint: Checkpoint) -> None:
        self._out = settings.out
        self.read: int = sum(line["items"] for line in checkpoint.lines)
        self._refused = sum(line["refused"] for line in checkpoint.lines)
        self._shown = 0

    def took(self, done: Done) -> None:
        """Take what a worker has done."""
        self.read += done.counts["items"]
        self._refused += done.counts["refused"]
        for note in done.notes[: max(0, SHOWN - self._shown)]:
            self._out.note(note)
        self._shown += len(done.notes)

    def told(self, table: str) -> None:
        """Tell the counts. Raises: Stop where items were refused."""
        self._out.row(table=table, read=self.read, written=self.read - self._refused, refused=self._refused)
        if self._refused:
            raise Stop(
                Code.REFUSED, f"{self._refused} items were refused, see what is said of them; all others are copied"
            )
