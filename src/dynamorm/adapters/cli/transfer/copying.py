"""``copy``: the items of one table into another one, there or elsewhere, page by page and segments side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import encode

from dynamorm.errors import DynamORMError
from dynamorm.features.raw import MAX_PUTS

from ..ends import Code, Stop, end_of
from ..settings import Options, Settings, Table
from .checkpoint import Checkpoint, going_on
from .pace import Pace
from .progress import Progress

_SHOWN = 20


class Copy(Struct, frozen=True):
    """What is to be copied, and how. ``to``: where to, as far as that is another place."""

    source: str
    target: str
    to: Options
    segments: int
    consistent: bool
    checkpoint: Path | None


def copy(settings: Settings, wanted: Copy, *, pace: Pace, restart: bool) -> None:
    """Copy a table. Raises: Stop, also where items were refused."""
    progress = Progress(settings.out, f"copy of {wanted.source}", settings.db.config.region)
    source = settings.table(wanted.source, spent=progress.read)
    other = settings.db if wanted.to == Options() else settings.open(wanted.to.over(settings.options))
    target = settings.table(wanted.target, other, spent=progress.wrote)
    if (source.name, source.db.config.endpoint) == (target.name, target.db.config.endpoint):
        raise Stop(
            Code.USAGE,
            "a table is not copied onto itself: give another name, --to-endpoint, --to-region or --to-prefix",
        )
    if _key(source) != _key(target):
        raise Stop(Code.REFUSED, f"{target.name} has the key {_key(target)}, and {source.name} has {_key(source)}")
    progress.total = source.shape.item_count or None
    place = wanted.checkpoint or Path(f".dynamorm-copy-{source.name}-{target.name}.checkpoint")
    asked = {
        "command": "copy",
        "from": [source.name, str(source.db.config.endpoint)],
        "to": [target.name, str(target.db.config.endpoint)],
        "segments": wanted.segments,
        "consistent": wanted.consistent,
    }
    with going_on(place, asked, restart=restart) as checkpoint:
        run = _Run(settings, wanted, source, target, checkpoint, pace, progress)
        run.all()
    progress.end()
    run.told()


def _key(table: Table) -> str:
    return ", ".join(f"{name} ({table.shape.key_types[name]})" for name in table.keys)


class _Run:
    """One run of a copy."""

    def __init__(
        self,
        settings: Settings,
        wanted: Copy,
        source: Table,
        target: Table,
        checkpoint: Checkpoint,
        pace: Pace,
        progress: Progress,
    ) -> None:
        self._out = settings.out
        self._wanted = wanted
        self._source = source
        self._target = target
        self._checkpoint = checkpoint
        self._pace = pace
        self._progress = progress
        self._last: dict[int, dict[str, Any]] = {line["segment"]: line for line in checkpoint.lines}
        self._read = sum(line["items"] for line in checkpoint.lines)
        self._refused = sum(line["refused"] for line in checkpoint.lines)

    def all(self) -> None:
        """Copy what no earlier run has copied."""
        self._progress.begin(self._read)
        segments = range(self._wanted.segments)
        left = [one for one in segments if one not in self._last or self._last[one]["key"] is not None]
        self._pace.side_by_side(self._segment, left, self._wanted.segments)

    def _segment(self, number: int) -> None:
        source, total = self._source, self._wanted.segments
        said: dict[str, Any] = {"ConsistentRead": True} if self._wanted.consistent else {}
        said |= {"Segment": number, "TotalSegments": total} if total > 1 else {}
        said |= self._pace.page_limit(total)
        start = encode(self._last[number]["key"]) if number in self._last else None
        while True:
            page = self._pace.patient(partial(source.page, "Scan", said, start))
            self._pace.take(page.count)
            refused = 0
            for at in range(0, len(page.raws), MAX_PUTS):
                refused += self._write(page.raws[at : at + MAX_PUTS])
            start = page.last_key
            line = {"segment": number, "key": None if start is None else Raw(start)}
            self._checkpoint.add({**line, "items": page.count, "refused": refused})
            self._read += page.count
            self._refused += refused
            if start is None:
                return

    def _write(self, items: list[bytes]) -> int:
        target = self._target
        refused = self._pace.patient(lambda: target.run(target.raw.write(items, target.keys)))
        for at, error in refused[:_SHOWN]:
            self._tell(items[at], error)
        self._progress.done(len(items))
        return len(refused)

    def _tell(self, item: bytes, error: DynamORMError) -> None:
        self._out.note(f"an item of {len(item):,} bytes was refused: {end_of(error).message}")

    def told(self) -> None:
        """Tell the counts. Raises: Stop where items were refused."""
        written = self._read - self._refused
        self._out.row(table=self._target.name, read=self._read, written=written, refused=self._refused)
        if self._refused:
            raise Stop(
                Code.REFUSED, f"{self._refused} items were refused, see what is said of them; all others are copied"
            )
