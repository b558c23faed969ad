"""What copies and backfills have in common: pages of the segments of a table, of which a worker does some, for half a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from msgspec import Raw
from msgspec.json import encode

from dynamorm.codec.strict import PageJson

from ..settings import Spent, Table
from .checkpoint import Checkpoint
from .executors import Workers, do
from .pace import Ended, Pace
from .progress import Progress

_LONGEST: Final = 0.5
SHOWN: Final = 20
"""Refused items of a run of which something is said."""


class Place(NamedTuple):
    """Where a segment goes on: behind this key."""

    segment: int
    start: bytes | None


class Done:
    """What a worker has done of a segment: numbers by name, what is to be said of it, and the key behind which it goes on.

    ``notes`` are said where there are not too many, ``rows`` are results.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {"items": 0}
        self.notes: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.names: dict[str, int] = {}
        self.key: bytes | None = None
        self.read: float = 0.0
        self.wrote: float = 0.0

    def add(self, name: str, count: int = 1) -> None:
        """Count."""
        self.counts[name] = self.counts.get(name, 0) + count


class Pages:
    """The task of a worker: page after page of a segment. A class that does something with them has ``page``."""

    def __init__(self, table: Table, segments: int, pace: Pace, *, consistent: bool = False) -> None:
        self.table: Table = table
        self.pace: Pace = pace
        self._segments = segments
        self._consistent = consistent

    def page(self, page: PageJson, done: Done) -> None:
        """Do what is to be done with a page."""
        raise NotImplementedError

    def __call__(self, at: Place, _: str) -> tuple[Done, Place | None]:
        """Do some pages. Returns what was done, and where the segment goes on."""
        done, spent, total = Done(), Spent(), self._segments
        table = self.table.counted(spent)
        said: dict[str, Any] = {"ConsistentRead": True} if self._consistent else {}
        said |= {"Segment": at.segment, "TotalSegments": total} if total > 1 else {}
        said |= self.pace.page_limit(total)
        start, end, pages = at.start, time.monotonic() + _LONGEST, 0
        try:
            while True:
                page = self.pace.patient(partial(table.page, "Scan", said, start))
                self.page(page, done)
                done.counts["items"] += page.count
                start = done.key = page.last_key
                pages += 1
                if start is None or time.monotonic() > end:
                    break
        except Ended:
            if not pages:
                raise
            # The pages that were done whole count.
        done.read = spent.units
        return done, None if start is None else Place(at.segment, start)


def over_all(
    work: Callable[[Place, str], tuple[Done, Place | None]],
    pace: Pace,
    segments: int,
    workers: Workers,
    checkpoint: Checkpoint | None,
    progress: Progress,
    took: Callable[[Done], object],
) -> None:
    """Do what no earlier run has done, and note how far each segment is."""
    last = {line["segment"]: line for line in checkpoint.lines} if checkpoint is not None else {}
    left = [
        Place(one, encode(last[one]["key"]) if one in last else None)
        for one in range(segments)
        if one not in last or last[one]["key"] is not None
    ]

    def take(at: Place, done: Done) -> None:
        if checkpoint is not None:
            key = None if done.key is None else Raw(done.key)
            rows = {"rows": done.rows} if done.rows else {}
            checkpoint.add({"segment": at.segment, "key": key, **done.counts, **rows})
        progress.read(done.read)
        progress.wrote(done.wrote)
        progress.done(done.counts["items"])
        took(done)

    do(work, left, workers, pace, took=take, usual=segments)
