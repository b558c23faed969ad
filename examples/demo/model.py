"""The demo's model, and the payments that ship with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Literal

from dynamorm import Attr, Model, attr, created_at, gsi, partition_key, updated_at, version
from dynamorm.models.schema.schema import Index

from .make_payments import make_payments


class Status(Enum):
    """Where a payment stands."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"


class Payment(Model, table="payments"):
    """One payment to a shop. ``amount`` is in minor units (cents) of ``currency`` (ISO 4217).

    Example: ``Payment(id="pay_1", merchant="North Quay Coffee", amount=420, currency="GBP", ...)``
    """

    id: Attr[str] = partition_key()
    merchant: Attr[str]
    amount: Attr[int] = attr(ge=0)
    currency: Attr[str] = attr(pattern="[A-Z]{3}")
    method: Attr[Literal["card", "transfer", "wallet"]]
    status: Attr[Status] = attr(default=Status.PENDING)
    placed_at: Attr[datetime]
    note: Attr[str | None] = attr(default=None)
    created_at: Attr[datetime] = created_at()
    updated_at: Attr[datetime] = updated_at()
    version: Attr[int] = version()
    by_merchant: Index = gsi("by-merchant", partition="merchant", sort="placed_at")


def shipped_payments(count: int) -> list[Payment]:
    """The first ``count`` payments of the shipped file; beyond its 2,000 lines, more of the same kind.

    Example: ``len(shipped_payments(10)) == 10``
    """
    lines = Path(__file__).with_name("payments.jsonl").read_text("utf-8").splitlines()
    records: Iterator[dict[str, object]] = map(json.loads, lines)
    if count > len(lines):
        records = make_payments(count)
    return [_payment(record) for record in islice(records, count)]


def _payment(record: dict[str, object]) -> Payment:
    placed = datetime.fromisoformat(str(record.pop("placed_at")))
    return Payment(**{**record, "status": Status(record["status"]), "placed_at": placed})  # type: ignore[arg-type]  # checked when stored
