"""What the functions store."""

from __future__ import annotations

from dynamorm import Attr, Model, TableSettings, attr, partition_key

DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
"""A day as it is written. It is the key of a total: what no total can have is refused with the webhook, before the stream has it."""

STREAM = TableSettings(stream="NEW_AND_OLD_IMAGES")


class Payment(Model, table="lambda-payments", settings=STREAM):
    """A payment, as the webhooks tell it: what was paid on which day never changes, and what is refunded stays so. Its table has a stream."""

    id: Attr[str] = partition_key()
    cents: Attr[int] = attr(ge=0, le=10**12)
    day: Attr[str] = attr(pattern=DAY)
    status: Attr[str] = attr(default="paid")


class DayTotal(Model, table="lambda-totals"):
    """What was paid on a day, and not given back."""

    day: Attr[str] = partition_key()
    payments: Attr[int] = attr(default=0)
    cents: Attr[int] = attr(default=0)
