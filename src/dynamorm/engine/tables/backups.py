"""Backups on demand, and tables that are made of them.

A backup holds the items and index entries of its table as they are at one moment. A table that is restored has no tags, no expiry, no stream, no
recovery and no protection of the source. Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/backuprestore_HowItWorks.html
and https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableFromBackup.html
"""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

from msgspec import json

from dynamorm.engine.answers import encode
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import BACKUP, FOR_GOOD, Core, checked_name
from dynamorm.engine.refusal import Refusal, invalid, wrong_parameter
from dynamorm.engine.store.store import Change
from dynamorm.engine.tables.definitions import check_throughput
from dynamorm.engine.tables.describe import description

_INDEXES: Final = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
_MOST: Final = 100
"""Backups of one page."""


def create_backup(core: Core, request: dict[str, Any]) -> bytes:
    """CreateBackup."""
    table = _source(core, request["TableName"])
    now = core.now()
    changes: list[Change] = []
    count, size = table.items.counted()
    backup = {
        "arn": f"{table.arn}/backup/{int(now * 1000):014d}-{uuid4().hex[:8]}",
        "name": request["BackupName"],
        "created": now,
        "count": count,
        "size": size,
        "table": table.record,
        "map": _copied(core, table.record["map"], changes),
        "index_maps": {name: _copied(core, number, changes) for name, number in table.record["index_maps"].items()},
    }
    core.store.apply([*changes, _change(core, backup["arn"], backup)])
    return encode({"BackupDetails": _details(backup) | {"BackupStatus": "CREATING"}})


def list_backups(core: Core, request: dict[str, Any]) -> bytes:
    """ListBackups."""
    limit, start = request.get("Limit") or _MOST, request.get("ExclusiveStartBackupArn")
    name = request.get("TableName")
    name = None if name is None else checked_name(name).rpartition("table/")[2]
    low, high = request.get("TimeRangeLowerBound"), request.get("TimeRangeUpperBound")
    if limit > _MOST:
        raise wrong_parameter(f"Limit is between 1 and {_MOST}")
    kind = request.get("BackupType") or "USER"
    found = [
        one
        for one in (core.backups() if kind in {"USER", "ALL"} else ())
        if (name is None or _name(one) == name)
        and (low is None or one["created"] >= low)
        and (high is None or one["created"] < high)
    ]
    found.sort(key=lambda one: str(one["arn"]))
    found = [one for one in found if start is None or one["arn"] > start]
    members: dict[str, Any] = {"BackupSummaries": [_summary(core, one) for one in found[:limit]]}
    if len(found) > limit:
        members["LastEvaluatedBackupArn"] = found[limit - 1]["arn"]
    return encode(members)


def describe_backup(core: Core, request: dict[str, Any]) -> bytes:
    """DescribeBackup."""
    return encode({"BackupDescription": _described(core, _known(core, request["BackupArn"]))})


def delete_backup(core: Core, request: dict[str, Any]) -> bytes:
    """DeleteBackup."""
    backup = _known(core, request["BackupArn"])
    found = _described(core, backup)
    found["BackupDetails"]["BackupStatus"] = "DELETED"
    core.store.apply([_change(core, backup["arn"], None)])
    core.clear_orphans()
    return encode({"BackupDescription": found})


def restore_table(core: Core, request: dict[str, Any]) -> bytes:
    """RestoreTableFromBackup."""
    backup = _known(core, request["BackupArn"])
    name = checked_name(request["TargetTableName"])
    if core.known(name) is not None:
        raise Refusal("TableAlreadyExistsException", f"Table already exists: {name}")
    record = _restored(core, backup, name, request)
    changes: list[Change] = []
    record["map"] = _copied(core, backup["map"], changes)
    record["index_maps"] = {
        one["IndexName"]: _copied(core, backup["index_maps"][one["IndexName"]], changes)
        for member in _INDEXES
        for one in record["definition"].get(member) or ()
    }
    table = core.keep(record, changes)
    found = description(core, table)
    found["TableStatus"] = "CREATING"
    found["RestoreSummary"] = found["RestoreSummary"] | {"RestoreInProgress": True}
    return encode({"TableDescription": found})


def _restored(core: Core, backup: dict[str, Any], name: str, request: dict[str, Any]) -> dict[str, Any]:
    """What is stored of the table that a backup becomes. Raises: Refusal."""
    source = backup["table"]
    definition = {member: value for member, value in source["definition"].items() if value is not None}
    mode = request.get("BillingModeOverride") or source["mode"]
    provisioned = mode == "PROVISIONED"
    for member in ("ProvisionedThroughput", "OnDemandThroughput"):
        if request.get(f"{member}Override") is not None:
            definition[member] = request[f"{member}Override"]
    definition.pop("WarmThroughput", None)
    definition.pop("OnDemandThroughput" if provisioned else "ProvisionedThroughput", None)
    for member in _INDEXES:
        kept = _indexes(definition.get(member) or [], request.get(f"{member.removesuffix('es')}Override"))
        if member.startswith("Global"):
            kept = [
                {part: value for part, value in one.items() if provisioned or part != "ProvisionedThroughput"}
                for one in kept
            ]
            for one in kept:
                check_throughput(one, provisioned=provisioned, of="index")
        definition.pop(member, None)
        if kept:
            definition[member] = kept
    check_throughput(definition, provisioned=provisioned)
    used = {
        one["AttributeName"]
        for key in (definition, *(one for member in _INDEXES for one in definition.get(member, ())))
        for one in key["KeySchema"]
    }
    definition["AttributeDefinitions"] = [
        one for one in definition["AttributeDefinitions"] if one["AttributeName"] in used
    ]
    now = core.now()
    creating = core.settings.creating
    return {
        "definition": definition | {"TableName": name},
        "id": str(uuid4()),
        "created": now,
        "ready": now + creating if creating else 0.0,
        "mode": mode,
        "index_ready": {},
        "protected": False,
        "class": source.get("class"),
        "sse": request.get("SSESpecificationOverride") or source.get("sse"),
        "tags": {},
        "policy": None,
        "restored": {
            "SourceBackupArn": backup["arn"],
            "SourceTableArn": Table(source, core.store, core.prefix).arn,
            "RestoreDateTime": now,
            "RestoreInProgress": False,
        },
    }


def _indexes(kept: list[dict[str, Any]], wanted: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The indexes that a restored table has: those of the backup, or the ones among them that the request names."""
    if wanted is None:
        return kept
    by_name = {one["IndexName"]: one for one in kept}
    found = []
    for one in wanted:
        if one["IndexName"] not in by_name:
            raise invalid(f"Index {one['IndexName']} does not exist on the source backup")
        found.append(by_name[one["IndexName"]] | {part: value for part, value in one.items() if value is not None})
    return found


def _source(core: Core, name: str) -> Table:
    table = core.known(checked_name(name))
    if table is None:
        raise Refusal("TableNotFoundException", f"Table not found: {name}")
    if table.ready > core.now():
        raise Refusal("TableInUseException", f"Table is being created: {table.name}")
    return table


def _known(core: Core, arn: str) -> dict[str, Any]:
    row = core.tokens.get(BACKUP + arn.encode())
    if row is None:
        raise Refusal("BackupNotFoundException", f"Backup not found: {arn}")
    found: dict[str, Any] = json.decode(row[1])
    return found


def _change(core: Core, arn: Any, backup: dict[str, Any] | None) -> Change:
    key = BACKUP + str(arn).encode()
    return (core.tokens, key, core.tokens.get(key), None if backup is None else (FOR_GOOD, json.encode(backup)))


def _copied(core: Core, number: int, changes: list[Change]) -> int:
    """The number of a new map that will hold what another one holds, by these changes."""
    made = core.store.map()
    changes += [
        (made, key, None, (size, data)) for key, size, data in core.store.map(number).range(b"", b"\xff" * 4096)
    ]
    return made.number


def _name(backup: dict[str, Any]) -> str:
    name: str = backup["table"]["definition"]["TableName"]
    return name


def _details(backup: dict[str, Any]) -> dict[str, Any]:
    return {
        "BackupArn": backup["arn"],
        "BackupName": backup["name"],
        "BackupSizeBytes": backup["size"],
        "BackupStatus": "AVAILABLE",
        "BackupType": "USER",
        "BackupCreationDateTime": backup["created"],
    }


def _summary(core: Core, backup: dict[str, Any]) -> dict[str, Any]:
    table = {
        "TableName": _name(backup),
        "TableId": backup["table"]["id"],
        "TableArn": f"{core.prefix}:table/{_name(backup)}",
    }
    return table | _details(backup)


def _described(core: Core, backup: dict[str, Any]) -> dict[str, Any]:
    record = backup["table"]
    definition = record["definition"]
    throughput = definition.get("ProvisionedThroughput") or {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    source = {
        "TableName": _name(backup),
        "TableId": record["id"],
        "TableArn": f"{core.prefix}:table/{_name(backup)}",
        "TableSizeBytes": backup["size"],
        "KeySchema": definition["KeySchema"],
        "TableCreationDateTime": record["created"],
        "ProvisionedThroughput": throughput,
        "ItemCount": backup["count"],
        "BillingMode": record["mode"],
    }
    features: dict[str, Any] = {member: definition[member] for member in _INDEXES if definition.get(member)}
    stream = record.get("stream")
    if stream and stream["on"]:
        features["StreamDescription"] = {"StreamEnabled": True, "StreamViewType": stream["view"]}
    if record.get("ttl"):
        features["TimeToLiveDescription"] = {"TimeToLiveStatus": "ENABLED", "AttributeName": record["ttl"]}
    return {
        "BackupDetails": _details(backup),
        "SourceTableDetails": source,
        "SourceTableFeatureDetails": features,
    }
