"""The values every library stores and reads. It imports next to nothing, since import time is measured too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

REGION = "us-east-1"
KEY_ID = "AKIDEXAMPLE0000000AA"
SECRET = "s" * 40
START = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
VERSION = 3
"""The version every stored payment has, so that a conditional update can be repeated."""
MERCHANT = "merchant-0042"
WIDE_TEXTS, WIDE_NUMBERS, WIDE_FLAGS = 29, 20, 10
"""Attributes of the wide item beside its key: 60 in all."""

SEGMENTS = 4
"""Segments of the parallel scan."""


def name(number: int) -> str:
    """The sort key of payment ``number``.

    Example: ``name(7) == "payment-00000007"``
    """
    return f"payment-{number:08d}"


def payment(number: int) -> dict[str, Any]:
    """The ten attributes of payment ``number``: texts, whole numbers, a time, a list and a map."""
    return {
        "merchant_id": MERCHANT,
        "id": name(number),
        "idempotency_key": f"1f0c7a52-6d5e-4b8e-9a61-{number:012d}",
        "amount": 1000 + number * 7,
        "currency": "EUR",
        "status": "authorized",
        "created_at": START + timedelta(seconds=number, microseconds=number * 37),
        "version": VERSION,
        "tags": ["card", "recurring", "3ds"],
        "metadata": {"order": f"order-{number}", "channel": "web", "country": "DE"},
    }


def payment_of(model: Any, number: int) -> Any:
    """Payment ``number`` as an object of a model whose version belongs to the library."""
    values = payment(number)
    del values["version"]
    return model(**values)


def wide() -> dict[str, Any]:
    """An item of 60 attributes."""
    item: dict[str, Any] = {"id": "wide-1"}
    item.update({f"text_{at:02d}": f"the value of text number {at}" for at in range(WIDE_TEXTS)})
    item.update({f"number_{at:02d}": 10_007 * at for at in range(WIDE_NUMBERS)})
    item.update({f"flag_{at:02d}": at % 2 == 0 for at in range(WIDE_FLAGS)})
    return item


def wide_members(attr: Any, key: Any, module: str) -> dict[str, Any]:
    """The body of a class for the wide item, whose attributes are declared as ``attr[type]``, with this ``key``."""
    return {
        "__annotations__": {name: attr[type(value)] for name, value in wide().items()},
        "__module__": module,
        "id": key,
    }


def blob(size: int) -> dict[str, Any]:
    """An item of about ``size`` bytes, nearly all of it one text."""
    return {
        "id": f"blob-{size}",
        "data": ("The quick brown fox jumps over the lazy dog. " * (size // 45 + 1))[: size - 20],
    }
