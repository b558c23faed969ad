"""One write of one item, in two steps: what can be said without the stored item, and what it makes of that.

Alone, in a batch or in a transaction it is the same write. Nothing is stored before every write of a request is worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Raw, Struct

from dynamorm.engine.answers import encode, read_item
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.expressions import conditions, grammar
from dynamorm.engine.expressions.places import NOTHING, Places
from dynamorm.engine.expressions.updates import BoundUpdate
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.shapes.forms import Alike
from dynamorm.engine.sizes import MAX_ITEM, text_size, units_of_write, value_size
from dynamorm.engine.store.store import Change
from dynamorm.engine.store.undo import Row
from dynamorm.engine.streams.records import record
from dynamorm.engine.values.measure import Item, measure, measure_item

FAILED: Final = "ConditionalCheckFailedException"
DUPLICATE: Final = "DuplicateItemException"
_LARGE: Final = "Item size has exceeded the maximum allowed size"
_LARGE_UPDATE: Final = "Item size to update has exceeded the maximum allowed size"


PLAIN: Final = ("TableName", "Item")
"""What a put without anything else says."""


_NO_ARMS: Final[Mapping[str, int]] = MappingProxyType({})


class Write(Struct, eq=False):
    """One write before the stored item is looked at. ``kind``: Put, Update, Delete, ConditionCheck."""

    table: Table
    kind: str
    key: bytes
    given: Item | None
    size: int = 0
    data: bytes = b""
    """The item to put as it is stored, where that is known."""
    condition: conditions.Holds | None = None
    update: BoundUpdate | None = None
    tells_old: bool = False
    """Whether a failed condition is answered with the stored item."""
    failed: str = FAILED
    """The error that says so."""

    @property
    def item(self) -> Item:
        """The item to put, or the key of the item."""
        if self.given is None:
            self.given = read_item(self.data)
        return self.given


class Outcome(Struct, eq=False):
    """What a write makes of the stored item. ``units`` are of the table, ``arms`` of its indexes."""

    write: Write
    old_row: Row | None
    new_row: Row | None = None
    changes: list[Change] = []
    arms: Mapping[str, int] = _NO_ARMS
    read_old: Item | None = None
    read_new: Item | None = None

    @property
    def old(self) -> Item | None:
        """The stored item, decoded once."""
        if self.read_old is None and self.old_row is not None:
            self.read_old = read_item(self.old_row[1])
        return self.read_old

    @property
    def new(self) -> Item | None:
        """The item that is to be stored."""
        if self.read_new is None and self.new_row is not None:
            self.read_new = self.write.item if self.write.kind == "Put" else read_item(self.new_row[1])
        return self.read_new

    @property
    def units(self) -> int:
        """What the write costs the table."""
        if self.write.kind == "ConditionCheck":
            return 1
        old, new = self.old_row, self.new_row
        return units_of_write(max(0 if old is None else old[0], 0 if new is None else new[0]))

    def becomes(self, item: Item, size: int) -> None:
        """An item of so many bytes is to be stored."""
        self.read_new, self.new_row = item, (size, encode(item))


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
    if len(request) == len(PLAIN):  # both are required
        return put_into(table, request["Item"])
    places = places_of(request)
    return with_condition(put_into(table, request["Item"]), request, places)


def put_into(table: Table, item: Item | Alike) -> Write:
    """A put of an item, without a condition. Raises: Refusal."""
    if isinstance(item, Alike):
        key = item.key(table.names)
        if key is not None and item.size <= MAX_ITEM:
            write = Write(table, "Put", key, None, item.size, item.data)
            for index in table.index_list:
                index.check(write.item)
            return write
        item = item.read()
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
    outcome = Outcome(write, row)
    condition = write.condition
    if condition is not None and not condition(outcome.old or {}):
        members: dict[str, Any] = {"Item": Raw(row[1])} if row is not None and write.tells_old else {}
        said = (
            "Duplicate primary key exists in table" if write.failed == DUPLICATE else "The conditional request failed"
        )
        raise Refusal(write.failed, said, **members)
    kind = write.kind
    if kind == "ConditionCheck":
        return outcome
    if kind == "Put":
        outcome.new_row = write.size, write.data or encode(write.item)
    elif kind == "Update":
        _updated(outcome)
    new_row = outcome.new_row
    if row is not None or new_row is not None:
        outcome.changes.append((table.items, write.key, row, new_row))
    if table.index_list or table.stream is not None:
        _spread(core, outcome)
    return outcome


def _spread(core: Core, outcome: Outcome) -> None:
    """Add what a write does to the indexes, and to the stream."""
    write = outcome.write
    table = write.table
    size, after = (0 if row is None else row[0] for row in (outcome.old_row, outcome.new_row))
    if table.index_list:
        old, new = outcome.old, outcome.new
        outcome.arms = {
            index.name: units
            for index in table.index_list
            if (units := index.write(old, new, write.key, (size, after), outcome.changes))
        }
    if table.stream is not None and outcome.changes and outcome.old != outcome.new:
        outcome.changes.append(record(core, table, outcome.old, outcome.new, (size, after)))


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
    outcome.becomes(new, size)


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
