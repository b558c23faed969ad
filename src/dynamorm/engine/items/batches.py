"""BatchGetItem and BatchWriteItem.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html and API_BatchWriteItem.html
"""

from __future__ import annotations

from typing import Any, Final

from dynamorm.engine.answers import EMPTY, Members, answer, encode, listed
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.items.capacity import Consumed, wanted
from dynamorm.engine.items.single import Reading, collection, consumed_by, key_bytes
from dynamorm.engine.items.writes import Outcome, commit, delete, places_of, plan, put, store
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.shapes.forms import encode as encode_entry
from dynamorm.engine.shapes.legacy import modern
from dynamorm.engine.sizes import read_units
from dynamorm.engine.values.keys import HASH

MAX_KEYS: Final = 100
MAX_WRITES: Final = 25
MAX_ANSWER: Final = 16 * 1024 * 1024


def batch_get(core: Core, request: dict[str, Any]) -> bytes:
    """BatchGetItem."""
    asked = request["RequestItems"]
    if sum(len(one["Keys"]) for one in asked.values()) > MAX_KEYS:
        raise invalid("Too many items requested for the BatchGetItem call")
    for one in asked.values():
        modern(one)
    parts = [(name, one, core.usable(name), Reading(one, places_of(one))) for name, one in asked.items()]
    keys = [_distinct(table, one["Keys"]) for _, one, table, _ in parts]
    found: list[tuple[str, bytes]] = []
    left: dict[str, Any] = {}
    consumed: list[Consumed] = []
    refusals: list[Refusal] = []
    size = 0
    for (name, one, table, reading), places in zip(parts, keys, strict=True):
        items: list[bytes] = []
        used = Consumed(table)
        consistent = bool(one.get("ConsistentRead"))
        rows = core.read(table, consistent=consistent)
        for number, key in enumerate(places):
            row = rows.get(key)
            if core.meter is not None:
                units = read_units(0 if row is None else row[0], consistent=consistent)
                refusal = _taken(core, core.meter.of_read(table, None, units, key[:HASH]), refusals)
                if refusal is not None:
                    left.setdefault(name, {**one, "Keys": []})["Keys"].append(one["Keys"][number])
                    continue
            size += 0 if row is None else row[0]
            if size > MAX_ANSWER:
                left[name] = {**one, "Keys": [*left.get(name, {"Keys": []})["Keys"], *one["Keys"][number:]]}
                break
            used.of_table += read_units(0 if row is None else row[0], consistent=consistent)
            if row is not None:
                items.append(reading.of(row[1]))
        found.append((name, listed(items)))
        consumed.append(used)
    if refusals and len(refusals) == sum(map(len, keys)):
        raise refusals[0]
    members: Members = [("Responses", answer(found)), ("UnprocessedKeys", encode(left))]
    return answer(_with_capacity(members, request, consumed))


def _distinct(table: Table, keys: list[dict[str, Any]]) -> list[bytes]:
    places = [key_bytes(table, key) for key in keys]
    if len(set(places)) != len(places):
        raise invalid("Provided list of item keys contains duplicates")
    return places


def _with_capacity(members: Members, request: dict[str, Any], consumed: list[Consumed]) -> Members:
    mode = wanted(request)
    if mode is not None:
        members.append(("ConsumedCapacity", encode([one.shown(mode) for one in consumed])))
    return members


def batch_write(core: Core, request: dict[str, Any]) -> bytes:
    """BatchWriteItem."""
    asked = request["RequestItems"]
    if sum(map(len, asked.values())) > MAX_WRITES:
        raise invalid(f"Too many items requested for the BatchWriteItem call: {MAX_WRITES} at most")
    writes = []
    for name, entries in asked.items():
        if not entries:
            raise invalid("The batch write request list for a table cannot be null or empty")
        seen: set[bytes] = set()
        for entry in entries:
            write = _write(core, name, entry)
            if write.key in seen:
                raise invalid("Provided list of item keys contains duplicates")
            seen.add(write.key)
            writes.append(write)
    outcomes = [plan(core, write) for write in writes]
    if core.meter is None:
        commit(core, outcomes)
        unprocessed = EMPTY
    else:
        outcomes, unprocessed = _metered(core, outcomes, asked)
    members: Members = [("UnprocessedItems", unprocessed)]
    if request.get("ReturnItemCollectionMetrics") == "SIZE":
        members.append(("ItemCollectionMetrics", encode(_collections(outcomes))))
    by_table: dict[str, Consumed] = {}
    for outcome in outcomes:
        _count(by_table, outcome)
    return answer(_with_capacity(members, request, list(by_table.values())))


def _taken(core: Core, demands: list[Any], refusals: list[Refusal]) -> Refusal | None:
    """Take what an entry asks for, where there is anything left. Else the refusal, which is added to the others."""
    refusal: Refusal | None = core.meter.refused(demands)
    if refusal is None:
        core.meter.take(demands)
    else:
        refusals.append(refusal)
    return refusal


def _metered(core: Core, outcomes: list[Outcome], asked: dict[str, Any]) -> tuple[list[Outcome], bytes]:
    """Store what there are units for. Returns that, and the entries that are left. Raises: Refusal where it is nothing."""
    entries = [(name, entry) for name, part in asked.items() for entry in part]
    done: list[Outcome] = []
    left: dict[str, list[bytes]] = {}
    refusals: list[Refusal] = []
    for outcome, (name, entry) in zip(outcomes, entries, strict=True):
        if _taken(core, core.meter.of_write(outcome), refusals) is None:
            done.append(outcome)
        else:
            left.setdefault(name, []).append(encode_entry(entry))
    if not done:
        raise refusals[0]
    store(core, done)
    return done, answer([(name, listed(some)) for name, some in left.items()])


def _write(core: Core, name: str, entry: dict[str, Any]) -> Any:
    given = {kind: one for kind, one in entry.items() if one is not None}
    if len(given) != 1:
        raise invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of PutRequest and DeleteRequest")  # fmt: skip
    kind, one = next(iter(given.items()))
    return (put if kind == "PutRequest" else delete)(core, {**one, "TableName": name})


def _count(by_table: dict[str, Consumed], outcome: Outcome) -> None:
    one = consumed_by(outcome)
    total = by_table.setdefault(one.table.name, Consumed(one.table))
    total.of_table += one.of_table
    for index, units in one.of_indexes.items():
        total.add(index, units)


def _collections(outcomes: list[Outcome]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for outcome in outcomes:
        if outcome.write.table.has_local:
            one = collection(outcome)
            known = found.setdefault(outcome.write.table.name, [])
            if one not in known:
                known.append(one)
    return found
