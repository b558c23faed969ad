"""CreateTable, DeleteTable and ListTables."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from dynamorm.engine.answers import encode
from dynamorm.engine.core import Core, checked_name
from dynamorm.engine.refusal import Refusal, invalid, wrong_parameter
from dynamorm.engine.tables.definitions import (
    attribute_types,
    check_indexes,
    check_schema,
    check_stream,
    check_throughput,
    unused,
)
from dynamorm.engine.tables.describe import description
from dynamorm.engine.tables.streaming import new_stream
from dynamorm.engine.tables.tags import checked_tags

_KEPT = (
    "TableName", "KeySchema", "AttributeDefinitions", "LocalSecondaryIndexes", "GlobalSecondaryIndexes", "ProvisionedThroughput",
    "OnDemandThroughput", "WarmThroughput",
)  # fmt: skip


def create_table(core: Core, request: dict[str, Any]) -> bytes:
    """CreateTable."""
    name = checked_name(request["TableName"])
    if name.startswith("arn:"):
        name = name.rpartition("table/")[2]
    record = _record(core, name, request)
    if core.known(name) is not None:
        raise Refusal("ResourceInUseException", f"Table already exists: {name}")
    record["map"] = core.store.map().number
    for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        for index in record["definition"].get(member) or ():
            record["index_maps"][index["IndexName"]] = core.store.map().number
    table = core.keep(record)
    found = description(core, table)
    found["TableStatus"] = "CREATING"
    for index in found.get("GlobalSecondaryIndexes", ()):
        index["IndexStatus"] = "CREATING"
    return encode({"TableDescription": found})


def _record(core: Core, name: str, request: dict[str, Any]) -> dict[str, Any]:
    """What is stored of a new table. Raises: Refusal."""
    types = attribute_types(request.get("AttributeDefinitions"))
    mode = request.get("BillingMode") or "PROVISIONED"
    check_throughput(request, provisioned=mode == "PROVISIONED")
    used = check_schema(request["KeySchema"], types)
    used |= check_indexes(request, types, provisioned=mode == "PROVISIONED")
    problem = unused(types, used)
    if problem is not None:
        raise problem
    check_stream(request.get("StreamSpecification"))
    now = core.now()
    creating = core.settings.creating
    definition = {member: request[member] for member in _KEPT if request.get(member) is not None}
    record: dict[str, Any] = {
        "definition": definition | {"TableName": name},
        "id": str(uuid4()),
        "created": now,
        "ready": now + creating if creating else 0.0,
        "mode": mode,
        "index_maps": {},
        "index_ready": {},
        "protected": bool(request.get("DeletionProtectionEnabled")),
        "class": request.get("TableClass"),
        "sse": request.get("SSESpecification"),
        "tags": checked_tags({}, request.get("Tags") or ()),
        "policy": request.get("ResourcePolicy"),
    }
    stream = request.get("StreamSpecification")
    if stream is not None and stream.get("StreamEnabled"):
        record["stream"] = new_stream(core, name, stream["StreamViewType"])
    return record


def delete_table(core: Core, request: dict[str, Any]) -> bytes:
    """DeleteTable."""
    table = core.table(checked_name(request["TableName"]))
    if table.record["protected"]:
        raise invalid(
            "Resource cannot be deleted as it is currently protected against deletion."
            " Disable deletion protection first"
        )
    if table.ready > core.now():
        raise Refusal(
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: Table is being created: {table.name}",
        )
    found = description(core, table)
    found["TableStatus"] = "DELETING"
    core.forget(table.name)  # before: who is interrupted behind the change finds none
    core.store.apply([core.catalog_change(table.name, None)])
    core.clear_orphans()
    return encode({"TableDescription": found})


def list_tables(core: Core, request: dict[str, Any]) -> bytes:
    """ListTables."""
    start, limit = request.get("ExclusiveStartTableName"), request.get("Limit") or 100
    if start is not None and len(start) < 3:
        raise wrong_parameter("ExclusiveStartTableName is no table's name")
    names = [name for name in core.names() if start is None or name > start]
    found: dict[str, Any] = {"TableNames": names[:limit]}
    if len(names) > limit:
        found["LastEvaluatedTableName"] = names[limit - 1]
    return encode(found)
