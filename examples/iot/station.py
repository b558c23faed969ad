"""The work: take readings in, make daily values of them, and answer questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal

from dynamorm import DB, BatchConfig
from dynamorm.errors import DynamORMError

from .models import MODELS, Day, Position, Reading


class Stations:
    """Weather stations on a database.

    Example::

        with DB(Presets.local_development()) as db:
            stations = Stations(db)
            stations.open()
            stations.ingest(readings(days=7))
            stations.downsample()
            stations.days("JFK", date(2013, 1, 1), date(2013, 1, 7))
    """

    def __init__(self, db: DB) -> None:
        self._db = db

    def open(self) -> None:
        """Make the tables, or find them as they should be."""
        for model in MODELS:
            self._db.tables.ensure(model)

    def ingest(self, readings: Iterable[Reading], *, parallelism: int = 4) -> tuple[int, list[DynamORMError]]:
        """Store readings as they come. How many were stored, and the error of each that was not.

        A reading that comes twice is stored once: its key is its station and its time.
        """
        stored, errors = 0, []
        with self._db.new_batcher(BatchConfig(max_size=25, max_wait=0.05, parallelism=parallelism)) as batcher:
            futures = [batcher.add(reading) for reading in readings]
        for future in futures:
            error = future.exception()
            if error is None:
                stored += 1
            elif isinstance(error, DynamORMError):
                errors.append(error)
            else:
                raise error
        return stored, errors

    def downsample(self, *, idle_timeout: float = 0) -> int:
        """Make the values of each day of which the stream has news. How many days were made.

        A day is made anew from its bucket, so records that come twice, or late, change nothing; that a reading has expired is no
        news. The position is committed when the days are stored: whoever dies before comes again.
        """
        made = 0
        with self._db.stream(Reading, checkpoint=Position, consumer="days", idle_timeout=idle_timeout) as stream:
            changed: set[str] = set()
            for record in stream:
                if not record.is_ttl_expiry:
                    changed.add(record.keys[0])
                if len(changed) >= 100:
                    made += self._make(changed)
                    stream.commit()
            made += self._make(changed)
            stream.commit()
        return made

    def _make(self, buckets: set[str]) -> int:
        made = [day for bucket in sorted(buckets) if (day := self._day(bucket)) is not None]
        self._db.batch_write(puts=made)
        buckets.clear()
        return len(made)

    def _day(self, bucket: str) -> Day | None:
        readings = self._db.model(Reading).where(Reading.bucket == bucket).consistent().all()
        measured = [reading.celsius for reading in readings if reading.celsius is not None]
        if not measured:
            return None  # none is left: the values that were made of them stay
        return Day(
            station=readings[0].station,
            day=readings[0].day,
            readings=len(measured),
            lowest=min(measured),
            highest=max(measured),
            mean=(sum(measured, Decimal(0)) / len(measured)).quantize(Decimal("0.01")),
        )

    def readings(self, station: str, begin: datetime, end: datetime) -> Iterator[Reading]:
        """What a station measured between two times, in order: one query for each day."""
        for day in _days(begin.date(), end.date()):
            yield from self._db.model(Reading).where(
                Reading.station == station, Reading.day == day, Reading.at.between(begin, end)
            )

    def days(self, station: str, first: date, last: date) -> list[Day]:
        """The values of a station's days, the last one included."""
        return self._db.model(Day).where(Day.station == station, Day.day.between(first, last)).all()


def _days(first: date, last: date) -> Iterator[date]:
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        yield date.fromordinal(ordinal)
