"""What the functions store."""

from __future__ import annotations

from dynamorm import Attr, Model, TableSettings, attr, partition_key

STREAM = TableSettings(stream="NEW_AND_OLD_IMAGES")


class Payment(Model, table="lambda-payments", settings=STREAM):
    """A payment, as the webhooks tell it. Its table has a stream."""

    id: Attr[str] = partition_key()
    cents: Attr[int] = attr(ge=0)
    day: Attr[str]
    status: Attr[str] = attr(default="paid")


class DayTotal(Model, table="lambda-totals"):
    """What was paid on a day, and not given back."""

    day: Attr[str] = partition_key()
    payments: Attr[int] = attr(default=0)
    cents: Attr[int] = attr(default=0)
