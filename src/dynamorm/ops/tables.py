"""Tables: create, ensure, describe, delete, and waiting until the change is done. Returns flows."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dynamorm.codec.replies import read_object
from dynamorm.effects import Flow, Sleep
from dynamorm.errors import ClientError, DeadlineExceeded, ModelError, OutcomeUnknown, TableNotFound
from dynamorm.schema import Index, Key, Schema, key_parts

from .op import Op, Safety
from .plan import Plan, encode

if TYPE_CHECKING:
    from dynamorm.session import Session

POLL = 0.05
"""Seconds between the first two looks at a table that is changing; doubled each time up to `POLL_MOST`."""
POLL_MOST = 5.0
WAIT = 300.0
"""Seconds to wait for a table by default: AWS makes one in under a minute, and indexes on a new table cost no more."""


class IndexDescription(Struct, frozen=True, kw_only=True):
    """A live index: its key by stored names, projection and status (None for a local index)."""

    name: str
    kind: str
    partition: tuple[str, ...]
    sort: tuple[str, ...]
    projection: str
    status: str | None = None


class TableDescription(Struct, frozen=True, kw_only=True):
    """A live table. ``item_count`` and ``size_bytes`` are DynamoDB's own, up to six hours old."""

    name: str
    status: str
    partition: str
    sort: str | None
    key_types: dict[str, str]
    billing_mode: str
    indexes: dict[str, IndexDescription]
    item_count: int = 0
    size_bytes: int = 0
    arn: str | None = None


def create(session: Session, model: Any, timeout: float) -> Flow[TableDescription]:
    """Create the model's table and wait until it and its indexes are ready. Raises ClientError when it exists."""
    plan = session.plan(model)
    op = Op("CreateTable", plan.table, encode(definition(plan)), read_object, Safety.RESEND)
    with suppress(OutcomeUnknown):  # whether it was made shows while waiting for it
        yield from session.call(op)
    return (yield from wait_active(session, plan, timeout))


def ensure(session: Session, model: Any, timeout: float) -> Flow[TableDescription]:
    """Create the table unless it is there; check that a live one fits the model."""
    plan = session.plan(model)
    try:
        found: TableDescription = yield from describe(session, model)
    except TableNotFound:
        try:
            return (yield from create(session, model, timeout))
        except ClientError as error:
            if error.code != "ResourceInUseException":
                raise
            # Another process made it meanwhile.
    found = yield from wait_active(session, plan, timeout)
    check_fit(plan, found)
    return found


def describe(session: Session, model: Any) -> Flow[TableDescription]:
    """The live table. Raises TableNotFound."""
    plan = session.plan(model)
    body = encode({"TableName": plan.table})
    reply = yield from session.call(Op("DescribeTable", plan.table, body, read_object))
    return _description(reply["Table"])


def delete(session: Session, model: Any, timeout: float) -> Flow[None]:
    """Delete the table with all its items and wait until it is gone. Nothing happens when there is none."""
    plan = session.plan(model)
    body = encode({"TableName": plan.table})
    try:
        yield from session.call(Op("DeleteTable", plan.table, body, read_object, Safety.RESEND))
    except TableNotFound:
        return
    except OutcomeUnknown:
        pass  # whether it is gone shows while waiting
    for seconds in _polls():
        try:
            found = yield from describe(session, model)
        except TableNotFound:
            return
        timeout = yield from _pause(seconds, timeout, f"table {plan.table!r} is still {found.status}")


def wait_active(session: Session, plan: Plan, timeout: float) -> Flow[TableDescription]:
    """Wait until the table and its global indexes are ACTIVE."""
    for seconds in _polls():
        try:
            found: TableDescription = yield from describe(session, plan.model)
            waiting = [found.status, *(one.status for one in found.indexes.values() if one.kind == "GSI")]
            if all(status == "ACTIVE" for status in waiting):
                return found
            why = f"table {plan.table!r} is still {found.status}"
        except TableNotFound:
            why = f"table {plan.table!r} has not appeared"
        timeout = yield from _pause(seconds, timeout, why)
    raise AssertionError("polling has no end of its own")


def _polls() -> Any:
    seconds = POLL
    while True:
        yield seconds
        seconds = min(seconds * 2, POLL_MOST)


def _pause(seconds: float, timeout: float, why: str) -> Flow[float]:
    if timeout < seconds:
        raise DeadlineExceeded(f"{why}; waited as long as timeout allows")
    yield Sleep(seconds)
    return timeout - seconds


def definition(plan: Plan) -> dict[str, Any]:
    """The CreateTable request of a model: key, indexes, on-demand billing."""
    schema = plan.codec.schema
    assert schema.key is not None  # a plan is made only for a model with a key
    used = _key_fields(schema)
    request: dict[str, Any] = {
        "TableName": plan.table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": schema.fields[name].stored, "AttributeType": plan.key_type(name)} for name in used
        ],
        "KeySchema": _key_schema(plan, schema.key),
    }
    for kind, member in (("GSI", "GlobalSecondaryIndexes"), ("LSI", "LocalSecondaryIndexes")):
        indexes = [_index(plan, index) for index in schema.indexes.values() if index.kind == kind]
        if indexes:
            request[member] = indexes
    return request


def _key_fields(schema: Schema) -> list[str]:
    """The fields that are part of a key, of the table or of an index, each once."""
    keys = (schema.key, *schema.indexes.values())
    return list(dict.fromkeys(name for key in keys if key is not None for name in key.fields))


def _key_schema(plan: Plan, key: Key | Index) -> list[dict[str, str]]:
    fields = plan.codec.schema.fields
    partition, sort = key_parts(key)
    return [
        *({"AttributeName": fields[name].stored, "KeyType": "HASH"} for name in partition),
        *({"AttributeName": fields[name].stored, "KeyType": "RANGE"} for name in sort),
    ]


def _index(plan: Plan, index: Index) -> dict[str, Any]:
    fields = plan.codec.schema.fields
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if isinstance(index.projection, tuple):
        projection = {
            "ProjectionType": "INCLUDE",
            "NonKeyAttributes": [fields[name].stored for name in index.projection],
        }
    return {"IndexName": index.name, "KeySchema": _key_schema(plan, index), "Projection": projection}


def check_fit(plan: Plan, live: TableDescription) -> None:
    """Raise ModelError when the live table's keys or indexes are not what the model needs."""
    schema = plan.codec.schema
    assert schema.key is not None  # a plan is made only for a model with a key
    stored = {name: field.stored for name, field in schema.fields.items()}
    wrong: list[str] = []
    partition, sort = key_parts(schema.key)
    if (live.partition, live.sort) != (stored[partition[0]], stored[sort[0]] if sort else None):
        wrong.append(f"its key is {live.partition}" + (f", {live.sort}" if live.sort else ""))
    used = _key_fields(schema)
    for name in used:
        kind = live.key_types.get(stored[name])
        if kind is not None and kind != plan.key_type(name):
            wrong.append(f"{stored[name]} is of type {kind}, not {plan.key_type(name)}")
    for index in schema.indexes.values():
        there = live.indexes.get(index.name)
        wanted = tuple(tuple(stored[name] for name in part) for part in key_parts(index))
        if there is None:
            wrong.append(f"it has no index {index.name}")
        elif (there.partition, there.sort) != wanted:
            wrong.append(f"the key of index {index.name} is {', '.join(there.partition + there.sort)}")
    if wrong:
        raise ModelError(f"table {plan.table!r} does not fit {schema.name}: {'; '.join(wrong)}", table=plan.table)


def _description(table: dict[str, Any]) -> TableDescription:
    partition, sort = _parts_of(table["KeySchema"])
    indexes = [
        *(_index_description(one, "GSI") for one in table.get("GlobalSecondaryIndexes") or ()),
        *(_index_description(one, "LSI") for one in table.get("LocalSecondaryIndexes") or ()),
    ]
    return TableDescription(
        name=table["TableName"],
        status=table["TableStatus"],
        partition=partition[0],
        sort=sort[0] if sort else None,
        key_types={one["AttributeName"]: one["AttributeType"] for one in table.get("AttributeDefinitions", ())},
        billing_mode=(table.get("BillingModeSummary") or {}).get("BillingMode", "PROVISIONED"),
        indexes={one.name: one for one in indexes},
        item_count=table.get("ItemCount", 0),
        size_bytes=table.get("TableSizeBytes", 0),
        arn=table.get("TableArn"),
    )


def _parts_of(keys: list[dict[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    partition = tuple(one["AttributeName"] for one in keys if one["KeyType"] == "HASH")
    return partition, tuple(one["AttributeName"] for one in keys if one["KeyType"] == "RANGE")


def _index_description(index: dict[str, Any], kind: str) -> IndexDescription:
    partition, sort = _parts_of(index["KeySchema"])
    return IndexDescription(
        name=index["IndexName"],
        kind=kind,
        partition=partition,
        sort=sort,
        projection=(index.get("Projection") or {}).get("ProjectionType", "ALL"),
        status=index.get("IndexStatus"),
    )
