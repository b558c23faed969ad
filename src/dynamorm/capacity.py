"""What requests cost in capacity units: by the sizes of items, and as far as can be known before a request is sent.

Pure arithmetic, and public: `item_size`, `read_units`, `write_units`, and `capacity_of` for what was not sent yet.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from dynamorm.engine.sizes import MAX_ITEM, PAGE, READ_UNIT, WRITE_UNIT, item_size, read_units, units_of_write
from dynamorm.models.schema.schema import Index, Schema, schema_of

__all__ = ["PAGE", "READ_UNIT", "WRITE_UNIT", "Capacity", "IndexView", "capacity_of", "index_views", "item_size", "read_units", "write_units"]  # fmt: skip


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


class IndexView(Struct, frozen=True):
    """What an index holds of an item.

    ``keys`` are the stored names of its key and of the table's, ``kept`` all names that it holds, None for whole items.
    """

    name: str
    keys: tuple[str, ...]
    kept: frozenset[str] | None = None

    def of(self, item: dict[str, Any] | None) -> dict[str, Any] | None:
        """The part of an item that is in the index, None when the item is not."""
        if item is None or not all(name in item for name in self.keys):
            return None
        return item if self.kept is None else {name: value for name, value in item.items() if name in self.kept}


def index_views(model: type[Any] | Schema) -> tuple[IndexView, ...]:
    """The indexes of a model, as `write_units` takes them.

    Raises: InvalidUse for what is no model.

    Example: ``write_units(None, item, indexes=index_views(Payment))``
    """
    schema = model if isinstance(model, Schema) else schema_of(model)
    return tuple(_view(schema, index) for index in schema.indexes.values())


def write_units(
    old: dict[str, Any] | None,
    new: dict[str, Any] | None,
    *,
    transactional: bool = False,
    indexes: Iterable[IndexView] = (),
) -> dict[str | None, float]:
    """The units of one write, of the table (None) and of each index that it changes.

    ``old`` and ``new`` are the item before and after, in wire form; None is no item. The table takes the larger of both, 1 KB for each unit, twice that in a transaction. An index takes nothing where what it
    holds stays the same, one write where that changes, and two where its key changes: the old entry goes, the new one comes.
    What an index takes is the same in a transaction.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes

    Example: ``sum(write_units(None, item).values())``
    """
    size = max(0 if item is None else item_size(item) for item in (old, new))
    units: dict[str | None, float] = {None: units_of_write(size) * (2.0 if transactional else 1.0)}
    for index in indexes:
        was, becomes = index.of(old), index.of(new)
        if was == becomes:
            continue
        sizes = [units_of_write(item_size(entry)) for entry in (was, becomes) if entry is not None]
        moved = was is None or becomes is None or any(was[key] != becomes[key] for key in index.keys)
        units[index.name] = float(sum(sizes) if moved else max(sizes))
    return units


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
    least = sum(_write(kind, write, schemas(write.get("TableName", "")), twice) for kind, write in writes)
    return Capacity(
        kind="write",
        least=float(least),
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


def _write(kind: str, body: dict[str, Any], schemas: Iterable[Schema], twice: int) -> float:
    """Units of one write, at the least: of what is stored already nothing is known."""
    if kind != "Put":
        return twice  # the stored item's size decides
    views = {view.name: view for schema in schemas for view in index_views(schema)}
    return sum(write_units(None, body["Item"], transactional=twice == 2, indexes=views.values()).values())


def _view(schema: Schema, index: Index) -> IndexView:
    assert schema.key is not None  # a schema with a table has a key
    keys = tuple(schema.fields[name].indexed_as for name in (*index.fields, *schema.key.fields))
    if index.projection == "ALL":
        return IndexView(index.name, keys)
    included = index.projection if isinstance(index.projection, tuple) else ()
    return IndexView(index.name, keys, frozenset((*keys, *(schema.fields[name].stored for name in included))))
