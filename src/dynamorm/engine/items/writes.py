"""One write of one item, in two steps: what can be said without the stored item, and what it makes of that.

Alone, in a batch or in a transaction it is the same write. Nothing is stored before every write of a request is worked out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Raw

from dynamorm.engine.answers import encode, read_item
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.expressions import conditions, grammar
from dynamorm.engine.expressions.places import NOTHING, Places
from dynamorm.engine.expressions.updates import BoundUpdate
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.sizes import MAX_ITEM, text_size, units_of_write, value_size
from dynamorm.engine.store.store import Change
from dynamorm.engine.store.undo import Row
from dynamorm.engine.streams.records import record
from dynamorm.engine.values.measure import Item, measure, measure_item

FAILED: Final = "ConditionalCheckFailedException"
DUPLICATE: Final = "DuplicateItemException"
_LARGE: Final = "Item size has exceeded the maximum allowed size"
_LARGE_UPDATE: Final = "Item size to update has exceeded the maximum allowed size"


_PLAIN: Final = ("TableName", "Item")
"""What a put without anything else says."""


class Write:
    """One write before the stored item is looked at. ``kind``: Put, Update, Delete, ConditionCheck."""

    __slots__ = ("condition", "failed", "item", "key", "kind", "size", "table", "tells_old", "update")

    item: Item
    failed: str
    key: bytes
    kind: str
    size: int
    table: Table
    tells_old: bool

    def __init__(self, table: Table, kind: str, key: bytes, item: Item, size: int = 0) -> None:
        self.table, self.kind, self.key = table, kind, key
        self.item = item
        """The item to put, or the key of the item."""
        self.size = size
        self.condition: conditions.Holds | None = None
        self.update: BoundUpdate | None = None
        self.tells_old = False
        """Whether a failed condition is answered with the stored item."""
        self.failed = FAILED
        """The error that says so."""


class Outcome:
    """What a write makes of the stored item. ``units`` are of the table, ``arms`` of its indexes."""

    __slots__ = ("_old", "arms", "changes", "new", "new_row", "old_row", "units", "write")

    old_row: Row | None
    units: int
    write: Write

    def __init__(self, write: Write, old_row: Row | None, old: Item | None) -> None:
        self.write = write
        self.old_row = old_row
        self._old = old
        self.new: Item | None = None
        self.new_row: Row | None = None
        self.changes: list[Change] = []
        self.units = 1
        self.arms: dict[str, int] = {}

    @property
    def old(self) -> Item | None:
        """The stored item, decoded once."""
        if self._old is None and self.old_row is not None:
            self._old = read_item(self.old_row[1])
        return self._old


def places_of(request: dict[str, Any]) -> Places:
    """The placeholders of a request."""
    names, values = request.get("ExpressionAttributeNames"), request.get("ExpressionAttributeValues")
    return NOTHING if names is None and values is None else Places(names, values)


def with_condition(write: Write, request: dict[str, Any], places: Places) -> Write:
    """Put the condition of a request into its write, and see that all placeholders are used."""
    text = request.get("ConditionExpression")
    if text is not None:
        parsed = grammar.condition(text, "ConditionExpression")
        write.condition = conditions.bound(parsed, places, "ConditionExpression")
    elif places is not NOTHING and write.update is None:
        raise needless(request, "ConditionExpression")
    if places is not NOTHING:
        places.all_used()
    write.tells_old = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return write


def needless(request: dict[str, Any], kind: str) -> Refusal:
    """Placeholders without an expression."""
    what = "Names" if request.get("ExpressionAttributeNames") is not None else "Values"
    said = "" if what == "Names" else f": {kind} is null"
    return invalid(f"ExpressionAttribute{what} can only be specified when using expressions{said}")


def put(core: Core, request: dict[str, Any]) -> Write:
    """A put. Raises: Refusal."""
    table = core.usable(request.get("TableName"))
    if len(request) == len(_PLAIN):  # both are required
        return put_into(table, request["Item"])
    places = places_of(request)
    return with_condition(put_into(table, request["Item"]), request, places)


def put_into(table: Table, item: Item) -> Write:
    """A put of an item, without a condition. Raises: Refusal."""
    size = measure_item(item)
    key = table.key(item)
    if size > MAX_ITEM:
        raise invalid(_LARGE)
    for index in table.index_list:
        index.check(item)
    return Write(table, "Put", key, item, size)


def delete(core: Core, request: dict[str, Any]) -> Write:
    """A delete. Raises: Refusal."""
    return with_condition(_at_key(core, request, "Delete"), request, places_of(request))


def check(core: Core, request: dict[str, Any]) -> Write:
    """A check of a condition, in a transaction. Raises: Refusal."""
    if request.get("ConditionExpression") is None:
        raise invalid("The ConditionExpression of a ConditionCheck must not be null")
    return with_condition(_at_key(core, request, "ConditionCheck"), request, places_of(request))


def update(core: Core, request: dict[str, Any]) -> Write:
    """An update. Raises: Refusal."""
    places = places_of(request)
    text = request.get("UpdateExpression")
    parsed = None if text is None else grammar.update(text)
    write = _at_key(core, request, "Update")
    if parsed is not None:
        write.update = BoundUpdate(parsed, places, write.table.key_attributes)
    return with_condition(write, request, places)


def _at_key(core: Core, request: dict[str, Any], kind: str) -> Write:
    return at_key(core.usable(request.get("TableName")), request["Key"], kind)


def at_key(table: Table, key: Item, kind: str) -> Write:
    """A write of the item with a key, without a condition. Raises: Refusal."""
    size = measure_item(key)
    return Write(table, kind, table.key_of(key), key, size)


def plan(core: Core, write: Write) -> Outcome:
    """What a write makes of the stored item. Raises: Refusal, also for a condition that does not hold."""
    table = write.table
    row = table.items.get(write.key)
    outcome = Outcome(write, row, None)
    condition = write.condition
    if condition is not None and not condition(outcome.old or {}):
        members: dict[str, Any] = {"Item": Raw(row[1])} if row is not None and write.tells_old else {}
        said = (
            "Duplicate primary key exists in table" if write.failed == DUPLICATE else "The conditional request failed"
        )
        raise Refusal(write.failed, said, **members)
    kind = write.kind
    if kind == "ConditionCheck":
        outcome.units = 1
        return outcome
    if kind == "Put":
        outcome.new, outcome.new_row = write.item, (write.size, encode(write.item))
    elif kind == "Update":
        _updated(outcome)
    size = 0 if row is None else row[0]
    new_row = outcome.new_row
    after = 0 if new_row is None else new_row[0]
    if row is not None or new_row is not None:
        outcome.changes.append((table.items, write.key, row, new_row))
    outcome.units = units_of_write(max(size, after))
    if table.index_list:
        old = outcome.old
        for index in table.index_list:
            units = index.write(old, outcome.new, write.key, (size, after), outcome.changes)
            if units:
                outcome.arms[index.name] = units
    if table.stream is not None and outcome.changes and outcome.old != outcome.new:
        outcome.changes.append(record(core, table, outcome.old, outcome.new, (size, after)))
    return outcome


def _updated(outcome: Outcome) -> None:
    """Work out an update, and measure what it changed. Raises: Refusal."""
    write = outcome.write
    old = outcome.old
    base: Item = write.item if old is None else old
    size = write.size if outcome.old_row is None else outcome.old_row[0]
    new = base
    if write.update is not None:
        new = write.update(base)
        for name in {path[0] for path in write.update.paths}:
            assert isinstance(name, str)  # a path begins with a name
            before, after = base.get(name), new.get(name)
            if before is not None:
                size -= text_size(name) + value_size(before)
            if after is not None:
                size += text_size(name) + measure(after)
        if size > MAX_ITEM:
            raise invalid(_LARGE_UPDATE)
        for index in write.table.index_list:
            index.check(new)
    outcome.new, outcome.new_row = new, (size, encode(new))


def commit(core: Core, outcomes: list[Outcome]) -> None:
    """Store what writes have made. Raises: Refusal where throughput is enforced, and nothing is left."""
    if core.meter is not None:
        core.meter.admit([one for outcome in outcomes for one in core.meter.of_write(outcome)])
    store(core, outcomes)


def store(core: Core, outcomes: list[Outcome]) -> None:
    """Store what writes have made."""
    changes = outcomes[0].changes if len(outcomes) == 1 else [one for outcome in outcomes for one in outcome.changes]
    if changes:
        core.store.apply(changes)


MAKERS: Final[dict[str, Callable[[Core, dict[str, Any]], Write]]] = {
    "Put": put,
    "Update": update,
    "Delete": delete,
    "ConditionCheck": check,
}
