"""What is stored: readings in buckets of a day, and the values of a day, which are made of them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from dynamorm import Attr, Model, TableSettings, attr, composite, partition_key, sort_key, ttl
from dynamorm.streams import StreamCheckpoint

STREAM = TableSettings(stream="KEYS_ONLY")
"""Who makes daily values reads the bucket anyhow, so the stream need not carry the readings."""


class Reading(Model, table="iot-readings", settings=STREAM):
    """What a station has measured at a time.

    A partition holds one day of one station. So no partition grows without bound, yesterday's is never written again, and a
    query of a day is one partition. DynamoDB deletes readings when they expire; the values of their day stay.
    """

    bucket: Attr[str] = partition_key(composite("{station}#{day}"))
    at: Attr[datetime] = sort_key()
    station: Attr[str]
    day: Attr[date]
    celsius: Attr[Decimal | None] = attr(default=None)
    humidity: Attr[Decimal | None] = attr(default=None, ge=0, le=100)
    metres_per_second: Attr[Decimal | None] = attr(default=None, ge=0)
    expires_at: Attr[datetime | None] = ttl(default=None)


class Day(Model, table="iot-days"):
    """The values of a station's day. ``readings`` is of how many."""

    station: Attr[str] = partition_key()
    day: Attr[date] = sort_key()
    readings: Attr[int]
    lowest: Attr[Decimal]
    highest: Attr[Decimal]
    mean: Attr[Decimal]


class Position(Model, StreamCheckpoint, table="iot-positions"):
    """How far the stream was read."""


MODELS: tuple[type[Model], ...] = (Reading, Day, Position)
