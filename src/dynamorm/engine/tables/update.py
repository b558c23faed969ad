"""UpdateTable: billing, indexes, the stream, and the other settings of a table.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html
"""

from __future__ import annotations

import copy
from typing import Any

from dynamorm.engine.answers import encode, read_item
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core, checked_name
from dynamorm.engine.refusal import Refusal, invalid, not_found, wrong_parameter
from dynamorm.engine.store.store import Change
from dynamorm.engine.tables.definitions import (
    MAX_GLOBAL,
    MAX_PARTS,
    attribute_types,
    check_projection,
    check_schema,
    check_stream,
    check_throughput,
)
from dynamorm.engine.tables.describe import description
from dynamorm.engine.tables.streaming import new_stream

_SETTINGS = ("DeletionProtectionEnabled", "TableClass", "SSESpecification", "BillingMode", "ProvisionedThroughput",
             "OnDemandThroughput", "WarmThroughput", "GlobalSecondaryIndexUpdates", "StreamSpecification", "ReplicaUpdates")  # fmt: skip


def update_table(core: Core, request: dict[str, Any]) -> bytes:
    """UpdateTable."""
    table = core.table(checked_name(request["TableName"]))
    if not any(request.get(name) is not None for name in _SETTINGS):
        raise wrong_parameter("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification is required")  # fmt: skip
    if request.get("ReplicaUpdates"):
        raise invalid("this engine is one Region: it has no replicas")
    if any(index.ready > core.now() for index in table.index_list) or table.ready > core.now():
        raise Refusal(
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: Table is being updated: {table.name}",
        )
    record = copy.deepcopy(table.record)
    _settings(request, record)
    _billing(core, request, record)
    _stream(core, table, request, record)
    fresh = _indexes(core, request, record)
    for name in fresh:
        record["index_maps"][name] = core.store.map().number
    changed = core.keep(record, _entries(core, record, fresh) if fresh else ())
    found = description(core, changed)
    found["TableStatus"] = "UPDATING"
    for one in found.get("GlobalSecondaryIndexes", ()):
        if one["IndexName"] in fresh:
            one["IndexStatus"], one["Backfilling"] = "CREATING", False
    return encode({"TableDescription": found})


def _settings(request: dict[str, Any], record: dict[str, Any]) -> None:
    if request.get("DeletionProtectionEnabled") is not None:
        record["protected"] = request["DeletionProtectionEnabled"]
    for member, name in (("TableClass", "class"), ("SSESpecification", "sse")):
        if request.get(member) is not None:
            record[name] = request[member]
    for member in ("OnDemandThroughput", "WarmThroughput"):
        if request.get(member) is not None:
            record["definition"][member] = request[member]


def _billing(core: Core, request: dict[str, Any], record: dict[str, Any]) -> None:
    definition = record["definition"]
    mode = request.get("BillingMode") or record["mode"]
    given = request.get("ProvisionedThroughput")
    if mode == "PAY_PER_REQUEST":
        check_throughput(request, provisioned=False)
    elif record["mode"] != mode:
        check_throughput(request, provisioned=True)
    if mode == "PROVISIONED" and given is not None:
        if record["mode"] == mode and definition.get("ProvisionedThroughput") == given:
            raise invalid(
                "The provisioned throughput for the table will not change. The requested value equals the current value."
            )
        definition["ProvisionedThroughput"] = given
    if mode != record["mode"]:
        record["mode"] = mode
        if mode == "PAY_PER_REQUEST":
            record["on_demand_since"] = core.now()
            for one in (definition, *(definition.get("GlobalSecondaryIndexes") or ())):
                one.pop("ProvisionedThroughput", None)
        else:
            record.setdefault("on_demand_since", record["created"])


def _stream(core: Core, table: Table, request: dict[str, Any], record: dict[str, Any]) -> None:
    wanted = request.get("StreamSpecification")
    if wanted is None:
        return
    check_stream(wanted)
    if wanted.get("StreamEnabled"):
        if table.stream is not None:
            raise wrong_parameter(f"Table already has an enabled stream: {table.name}")
        if record.get("stream"):
            record.setdefault("old_streams", []).append(record["stream"])
        record["stream"] = new_stream(core, table.name, wanted["StreamViewType"])
    else:
        if table.stream is None:
            raise wrong_parameter(f"Table already has a disabled stream: {table.name}")
        record["stream"]["on"] = False
        record["stream"]["ended"] = core.sequence


def _indexes(core: Core, request: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """Make the changes of indexes in the record. Returns the names of new ones."""
    updates = request.get("GlobalSecondaryIndexUpdates") or ()
    definition = record["definition"]
    types = attribute_types(definition["AttributeDefinitions"]) | attribute_types(request.get("AttributeDefinitions"))
    fresh: list[str] = []
    if sum(1 for one in updates if one.get("Create") or one.get("Delete")) > 1:
        raise Refusal("LimitExceededException", "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")  # fmt: skip
    for one in updates:
        if one.get("Create") is not None:
            fresh.append(_create(core, one["Create"], record, types))
        elif one.get("Delete") is not None:
            _delete(one["Delete"]["IndexName"], record)
        elif one.get("Update") is not None:
            _update(one["Update"], record)
    used = {key["AttributeName"] for schema in _schemas(definition) for key in schema}
    definition["AttributeDefinitions"] = [
        {"AttributeName": name, "AttributeType": tag} for name, tag in types.items() if name in used
    ]
    return fresh


def _schemas(definition: dict[str, Any]) -> list[list[dict[str, str]]]:
    indexes = [*(definition.get("GlobalSecondaryIndexes") or ()), *(definition.get("LocalSecondaryIndexes") or ())]
    return [definition["KeySchema"], *(one["KeySchema"] for one in indexes)]


def _create(core: Core, wanted: dict[str, Any], record: dict[str, Any], types: dict[str, str]) -> str:
    name: str = wanted["IndexName"]
    indexes = record["definition"].setdefault("GlobalSecondaryIndexes", [])
    if name in record["index_maps"]:
        raise invalid(f"Attempting to create an index which already exists: {name}")
    if len(indexes) >= MAX_GLOBAL:
        raise Refusal(
            "LimitExceededException", f"Subscriber limit exceeded: a table has {MAX_GLOBAL} global indexes at most"
        )
    check_schema(wanted["KeySchema"], types, MAX_PARTS)
    check_projection(wanted)
    check_throughput(wanted, provisioned=record["mode"] == "PROVISIONED", of=f"index: {name}")
    indexes.append(wanted)
    if core.settings.creating:
        record["index_ready"][name] = core.now() + core.settings.creating
    return name


def _delete(name: str, record: dict[str, Any]) -> None:
    definition = record["definition"]
    left = [one for one in definition.get("GlobalSecondaryIndexes") or () if one["IndexName"] != name]
    if len(left) == len(definition.get("GlobalSecondaryIndexes") or ()):
        raise not_found(f"Requested resource not found: no such index: {name}")
    definition["GlobalSecondaryIndexes"] = left
    record["index_maps"].pop(name)
    record["index_ready"].pop(name, None)


def _update(wanted: dict[str, Any], record: dict[str, Any]) -> None:
    for one in record["definition"].get("GlobalSecondaryIndexes") or ():
        if one["IndexName"] == wanted["IndexName"]:
            for member in ("ProvisionedThroughput", "OnDemandThroughput", "WarmThroughput"):
                if wanted.get(member) is not None:
                    one[member] = wanted[member]
            return
    raise not_found(f"Requested resource not found: no such index: {wanted['IndexName']}")


def _entries(core: Core, record: dict[str, Any], names: list[str]) -> list[Change]:
    """The changes that put what a table holds into its new indexes."""
    table = Table(record, core.store, core.prefix)
    changes: list[Change] = []
    for index in (table.indexes[name] for name in names):
        for key, size, data in table.items.range(b"", b"\xff" * 4096):
            index.write(None, read_item(data), key, (0, size), changes)
    return changes
