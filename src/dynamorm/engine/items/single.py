"""PutItem, UpdateItem, DeleteItem and GetItem.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html and its neighbours.
"""

from __future__ import annotations

from typing import Any

from dynamorm.engine.answers import EMPTY, Members, answer, encode, read_item
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.expressions import grammar
from dynamorm.engine.expressions.paths import Projection
from dynamorm.engine.expressions.places import NOTHING, Places
from dynamorm.engine.expressions.updates import changed
from dynamorm.engine.items.capacity import Consumed, member, wanted
from dynamorm.engine.items.writes import Outcome, commit, delete, needless, places_of, plan, put, update
from dynamorm.engine.refusal import invalid
from dynamorm.engine.sizes import read_units
from dynamorm.engine.values.keys import HASH, after, hashed, part
from dynamorm.engine.values.measure import Item, measure_item


def put_item(core: Core, request: dict[str, Any]) -> bytes:
    """PutItem."""
    returned = _returned(request, "PutItem")
    outcome = plan(core, put(core, request))
    commit(core, [outcome])
    return _answer(request, outcome, _old(outcome) if returned == "ALL_OLD" else None)


def delete_item(core: Core, request: dict[str, Any]) -> bytes:
    """DeleteItem."""
    returned = _returned(request, "DeleteItem")
    outcome = plan(core, delete(core, request))
    commit(core, [outcome])
    return _answer(request, outcome, _old(outcome) if returned == "ALL_OLD" else None)


def update_item(core: Core, request: dict[str, Any]) -> bytes:
    """UpdateItem."""
    returned = request.get("ReturnValues")
    outcome = plan(core, update(core, request))
    commit(core, [outcome])
    return _answer(request, outcome, None if returned is None else attributes_of(outcome, returned))


def _returned(request: dict[str, Any], operation: str) -> str | None:
    returned = request.get("ReturnValues")
    if returned not in (None, "NONE", "ALL_OLD"):
        raise invalid(f"ReturnValues can only be ALL_OLD or NONE for {operation}")
    return returned


def _old(outcome: Outcome) -> bytes | None:
    return None if outcome.old_row is None else outcome.old_row[1]


def attributes_of(outcome: Outcome, returned: str) -> bytes | None:
    """The Attributes of an update's answer."""
    if returned == "ALL_OLD":
        return _old(outcome)
    if returned == "ALL_NEW":
        return None if outcome.new_row is None else outcome.new_row[1]
    bound = outcome.write.update
    if returned == "NONE" or bound is None:
        return None
    found = changed(bound, outcome.old if returned == "UPDATED_OLD" else outcome.new)
    return encode(found) if found else None


def _answer(request: dict[str, Any], outcome: Outcome, attributes: bytes | None) -> bytes:
    mode = wanted(request)
    metrics = request.get("ReturnItemCollectionMetrics") == "SIZE" and outcome.write.table.has_local
    if attributes is None and mode is None and not metrics:
        return EMPTY
    members: Members = []
    if attributes is not None:
        members.append(("Attributes", attributes))
    if mode is not None:
        members.append(("ConsumedCapacity", member(consumed_by(outcome), mode)))
    if metrics:
        members.append(("ItemCollectionMetrics", encode(collection(outcome))))
    return answer(members)


def consumed_by(outcome: Outcome) -> Consumed:
    """The units of one write."""
    consumed = Consumed(outcome.write.table, float(outcome.units))
    consumed.of_indexes.update((name, float(units)) for name, units in outcome.arms.items())
    return consumed


def collection(outcome: Outcome) -> dict[str, Any]:
    """The ItemCollectionMetrics of one write."""
    table = outcome.write.table
    (partition,) = table.names.partition
    size = table.items.find_size(*_partition_range(table, outcome.write.item[partition.name]))
    whole = float(size // 2**30)
    return {
        "ItemCollectionKey": {partition.name: outcome.write.item[partition.name]},
        "SizeEstimateRangeGB": [whole, whole + 1.0],
    }


def _partition_range(table: Table, value: dict[str, Any]) -> tuple[bytes, bytes]:
    (partition,) = table.names.partition
    low = hashed(part(partition.type, value[partition.type]))
    return low, after(low)


class Reading:
    """How items are read: by which projection, and which of its placeholders are used."""

    __slots__ = ("projection",)

    def __init__(self, request: dict[str, Any], places: Places) -> None:
        text = request.get("ProjectionExpression")
        self.projection: Projection | None = None
        if text is not None:
            paths = grammar.projection(text)
            self.projection = Projection([places.path(path, "ProjectionExpression") for path in paths])
        elif places is not NOTHING:
            raise needless(request, "ProjectionExpression")
        if places is not NOTHING:
            places.all_used()

    def of(self, data: bytes) -> bytes:
        """The bytes of an item, or of what is projected of it."""
        return data if self.projection is None else encode(self.projection.of(read_item(data)))


def key_bytes(table: Table, key: Item) -> bytes:
    """The bytes of a key that is not checked yet."""
    measure_item(key)
    return table.key_of(key)


def get_item(core: Core, request: dict[str, Any]) -> bytes:
    """GetItem."""
    table = core.usable(request.get("TableName"))
    reading = Reading(request, places_of(request))
    consistent = bool(request.get("ConsistentRead"))
    key = key_bytes(table, request["Key"])
    row = table.items.get(key) if core.past is None else core.read(table, consistent=consistent).get(key)
    if core.meter is not None:
        units = read_units(0 if row is None else row[0], consistent=consistent)
        core.meter.admit(core.meter.of_read(table, None, units, key[:HASH]))
    mode = wanted(request)
    members: Members = []
    if row is not None:
        if mode is None and reading.projection is None:
            return b'{"Item":' + row[1] + b"}"
        members.append(("Item", reading.of(row[1])))
    if mode is not None:
        units = read_units(0 if row is None else row[0], consistent=consistent)
        members.append(("ConsumedCapacity", member(Consumed(table, units), mode)))
    return answer(members)
