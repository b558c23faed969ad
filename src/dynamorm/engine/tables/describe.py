"""DescribeTable, and the description that other operations answer with.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html
"""

from __future__ import annotations

from typing import Any

from dynamorm.engine.answers import encode
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core, checked_name


def describe_table(core: Core, request: dict[str, Any]) -> bytes:
    """DescribeTable."""
    return encode({"Table": description(core, core.table(checked_name(request["TableName"])))})


def description(core: Core, table: Table) -> dict[str, Any]:
    """A TableDescription."""
    record, definition = table.record, table.record["definition"]
    count, size = table.items.counted()
    on_demand = record["mode"] == "PAY_PER_REQUEST"
    found: dict[str, Any] = {
        "TableName": table.name,
        "TableArn": table.arn,
        "TableId": record["id"],
        "TableStatus": _status(core, table),
        "CreationDateTime": record["created"],
        "KeySchema": definition["KeySchema"],
        "AttributeDefinitions": definition["AttributeDefinitions"],
        "ProvisionedThroughput": _throughput(definition),
        "ItemCount": count,
        "TableSizeBytes": size,
        "DeletionProtectionEnabled": record["protected"],
        "WarmThroughput": _warm(definition),
    }
    if on_demand:
        found["BillingModeSummary"] = {
            "BillingMode": "PAY_PER_REQUEST",
            "LastUpdateToPayPerRequestDateTime": record.get("on_demand_since", record["created"]),
        }
    elif "on_demand_since" in record:
        found["BillingModeSummary"] = {"BillingMode": "PROVISIONED"}
    if definition.get("OnDemandThroughput"):
        found["OnDemandThroughput"] = definition["OnDemandThroughput"]
    if record.get("class"):
        found["TableClassSummary"] = {"TableClass": record["class"]}
    sse = record.get("sse")
    if sse and sse.get("Enabled"):
        found["SSEDescription"] = _sse(core, sse)
    for member, is_global in (("GlobalSecondaryIndexes", True), ("LocalSecondaryIndexes", False)):
        indexes = [_index(core, table, one, is_global=is_global) for one in definition.get(member) or ()]
        if indexes:
            found[member] = indexes
    if record.get("restored"):
        found["RestoreSummary"] = record["restored"]
    stream = record.get("stream")
    if stream:
        if stream["on"]:
            found["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": stream["view"]}
        found["LatestStreamArn"] = f"{table.arn}/stream/{stream['label']}"
        found["LatestStreamLabel"] = stream["label"]
    return found


def _status(core: Core, table: Table) -> str:
    if table.ready > core.now():
        return "CREATING"
    return "UPDATING" if any(index.ready > core.now() for index in table.index_list) else "ACTIVE"


def _throughput(definition: dict[str, Any]) -> dict[str, Any]:
    given = definition.get("ProvisionedThroughput") or {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    return {"NumberOfDecreasesToday": 0, **given}


def _warm(definition: dict[str, Any]) -> dict[str, Any]:
    provisioned = definition.get("ProvisionedThroughput") or {}
    reads = provisioned.get("ReadCapacityUnits", 12_000)
    writes = provisioned.get("WriteCapacityUnits", 4_000)
    given = {name: value for name, value in (definition.get("WarmThroughput") or {}).items() if value is not None}
    return {"ReadUnitsPerSecond": reads, "WriteUnitsPerSecond": writes, "Status": "ACTIVE", **given}


def _sse(core: Core, sse: dict[str, Any]) -> dict[str, Any]:
    key = sse.get("KMSMasterKeyId") or "alias/aws/dynamodb"
    arn = key if key.startswith("arn:") else f"arn:aws:kms:{core.settings.region}:{core.settings.account}:key/{key}"
    return {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": arn}


def _index(core: Core, table: Table, definition: dict[str, Any], *, is_global: bool) -> dict[str, Any]:
    index = table.indexes[definition["IndexName"]]
    count, size = index.entries.counted()
    found: dict[str, Any] = {
        "IndexName": index.name,
        "IndexArn": f"{table.arn}/index/{index.name}",
        "KeySchema": definition["KeySchema"],
        "Projection": {name: value for name, value in definition["Projection"].items() if value is not None},
        "ItemCount": count,
        "IndexSizeBytes": size,
    }
    if not is_global:
        return found
    found["ProvisionedThroughput"] = _throughput(definition)
    found["WarmThroughput"] = _warm(definition)
    if definition.get("OnDemandThroughput"):
        found["OnDemandThroughput"] = definition["OnDemandThroughput"]
    creating = index.ready > core.now()
    found["IndexStatus"] = "CREATING" if creating else "ACTIVE"
    if creating:
        found["Backfilling"] = True
    return found
