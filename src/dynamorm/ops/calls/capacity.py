"""What a request will cost in capacity units, as far as that can be known before it is sent. Pure arithmetic.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct

from dynamorm.codec.types.size import MAX_ITEM, item_size
from dynamorm.schema.schema import Index, Schema

READ_UNIT: Final = 4096
"""Bytes of an item that one read unit pays for."""
WRITE_UNIT: Final = 1024
"""Bytes of an item that one write unit pays for."""
PAGE: Final = 1024 * 1024
"""Bytes that one Query or Scan reads at most."""


class Capacity(Struct, frozen=True, kw_only=True):
    """The units one request takes: at ``least``, and at ``most`` (None where only the stored items tell).

    ``kind`` is ``"read"`` or ``"write"``; ``why`` says what they depend on. A read unit is 4 KB read with
    ``consistent``, twice that without, half of it in a transaction; a write unit is 1 KB, half of it in a transaction.

    Example: ``db.explain(lambda db: db.create(payment)).capacity.least``
    """

    kind: str
    least: float
    most: float | None
    why: str

    def __str__(self) -> str:
        most = "" if self.most == self.least else " or more" if self.most is None else f" to {self.most:g}"
        return f"{self.least:g}{most} {self.kind} units ({self.why})"


def capacity_of(operation: str, body: dict[str, Any], schemas: Callable[[str], Iterable[Schema]]) -> Capacity | None:
    """What a request of this operation will cost, or None for one that is free or not known.

    ``schemas(table)`` gives the models stored in a table, for the indexes that a write changes too.
    """
    if operation in {"GetItem", "BatchGetItem", "TransactGetItems"}:
        return _lookups(operation, body)
    if operation in {"Query", "Scan"}:
        return _page(body)
    writes = _writes(operation, body)
    if not writes:
        return None
    twice = 2 if operation == "TransactWriteItems" else 1
    least = sum(_write(kind, write, schemas(write.get("TableName", ""))) for kind, write in writes)
    return Capacity(
        kind="write",
        least=float(least * twice),
        most=None,
        why=("twice the units, since it is a transaction; " if twice == 2 else "")
        + "more when the stored item is larger, or its index entries change",
    )


def _lookups(operation: str, body: dict[str, Any]) -> Capacity:
    if operation == "GetItem":
        count, units = 1, 1.0 if body.get("ConsistentRead") else 0.5
    elif operation == "BatchGetItem":
        table_requests = body["RequestItems"].values()
        count = sum(len(of_table["Keys"]) for of_table in table_requests)
        units = 1.0 if any(of_table.get("ConsistentRead") for of_table in table_requests) else 0.5
    else:
        count, units = len(body["TransactItems"]), 2.0
    most = count * units * MAX_ITEM / READ_UNIT
    return Capacity(kind="read", least=count * units, most=most, why=f"{units:g} for each 4 KB of each item")


def _page(body: dict[str, Any]) -> Capacity:
    units = 1.0 if body.get("ConsistentRead") else 0.5
    size = min(PAGE, body["Limit"] * MAX_ITEM) if "Limit" in body else PAGE
    why = f"{units:g} for each 4 KB that is read, before any filter; for one page"
    return Capacity(kind="read", least=units, most=max(1, -(-size // READ_UNIT)) * units, why=why)


def _writes(operation: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The single writes of a request: (kind, request)."""
    if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
        return [(operation.removesuffix("Item"), body)]
    if operation == "TransactWriteItems":
        return [(kind, write) for entry in body["TransactItems"] for kind, write in entry.items()]
    if operation == "BatchWriteItem":
        return [
            (kind.removesuffix("Request"), {"TableName": table, **write})
            for table, entries in body["RequestItems"].items()
            for entry in entries
            for kind, write in entry.items()
        ]
    return []


def _write(kind: str, body: dict[str, Any], schemas: Iterable[Schema]) -> int:
    """Units of one write outside a transaction, at the least."""
    if kind != "Put":
        return 1  # the stored item's size decides, and it is not known
    item = body["Item"]
    units = _units(item_size(item))
    seen: set[str] = set()
    for schema in schemas:
        for index in schema.indexes.values():
            entry = _entry(schema, index, item)
            if entry is not None and index.name not in seen:
                seen.add(index.name)
                units += _units(item_size(entry))
    return units


def _entry(schema: Schema, index: Index, item: dict[str, Any]) -> dict[str, Any] | None:
    """What an index holds of an item, None when the item is not in it."""
    stored = [schema.fields[name].stored for name in index.fields]
    if not all(name in item for name in stored):
        return None
    if index.projection == "ALL":
        return item
    assert schema.key is not None  # a schema with a table has a key
    included = index.projection if isinstance(index.projection, tuple) else ()
    kept = {*stored, *(schema.fields[name].stored for name in (*schema.key.fields, *included))}
    return {name: value for name, value in item.items() if name in kept}


def _units(size: int) -> int:
    return max(1, -(-size // WRITE_UNIT))
