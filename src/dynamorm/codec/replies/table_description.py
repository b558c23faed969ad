"""A live table as data, read from DynamoDB's descriptions. It must not know models."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from dynamorm.codec.strict import malformed, read_object
from dynamorm.models.schema.table_settings import Throughput


class IndexDescription(Struct, frozen=True, kw_only=True):
    """A live index: its key by stored names, projection and status (None for a local index).

    ``projected`` is what an INCLUDE projection names; ``backfilling`` says that items are still being copied into it.
    ``item_count`` and ``size_bytes`` are DynamoDB's own, up to six hours old, and no part of the table's.
    """

    name: str
    kind: str
    partition: tuple[str, ...]
    sort: tuple[str, ...]
    projection: str
    projected: tuple[str, ...] = ()
    status: str | None = None
    backfilling: bool = False
    throughput: Throughput | None = None
    max_throughput: Throughput | None = None
    warm_throughput: Throughput | None = None
    item_count: int = 0
    size_bytes: int = 0


class TableDescription(Struct, frozen=True, kw_only=True):
    """A live table. ``item_count`` and ``size_bytes`` are DynamoDB's own, up to six hours old.

    ``id`` is DynamoDB's own name for it: a table that is deleted and made anew has another one. ``created`` is when it was made, in
    seconds since 1970 (UTC).

    ``throughput`` is that of a provisioned table. ``encryption`` is ``"AWS_OWNED"``, ``"AWS_MANAGED"`` or the ARN of the
    key. ``replicas`` are the other Regions of a global table, and ``multi_region_consistency`` how they follow (``"EVENTUAL"``, ``"STRONG"``; None where the service does not say). ``ttl`` is the attribute that expires items, ``""`` when expiry is off. ``ttl``, ``point_in_time_recovery`` and
    ``tags`` are None when nobody asked, or the engine or the permissions do not tell.
    """

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
    id: str | None = None
    created: float | None = None
    throughput: Throughput | None = None
    max_throughput: Throughput | None = None
    warm_throughput: Throughput | None = None
    stream: str | None = None
    stream_arn: str | None = None
    replicas: tuple[str, ...] = ()
    multi_region_consistency: str | None = None
    encryption: str = "AWS_OWNED"
    deletion_protection: bool = False
    table_class: str = "STANDARD"
    ttl: str | None = None
    ttl_status: str | None = None
    point_in_time_recovery: bool | None = None
    recovery_days: int | None = None
    tags: dict[str, str] | None = None

    @property
    def ready(self) -> bool:
        """Whether the table and its global indexes are ACTIVE."""
        states = (self.status, *(index.status for index in self.indexes.values() if index.kind == "GSI"))
        return all(status == "ACTIVE" for status in states)


def read_table(body: bytes) -> TableDescription:
    """The reply to DescribeTable.

    Raises: MalformedResponse when it describes no table.
    """
    reply = read_object(body)
    description: TableDescription | None = None
    try:
        description = _table(reply["Table"])
    except (KeyError, TypeError, AttributeError, IndexError):
        description = None
    if description is None:
        raise malformed("it does not describe a table")
    return description


def _table(table: dict[str, Any]) -> TableDescription:
    partition, sort = _parts_of(table["KeySchema"])
    billing = (table.get("BillingModeSummary") or {}).get("BillingMode", "PROVISIONED")
    provisioned = billing == "PROVISIONED"
    indexes = [
        *(_index(index, "GSI", provisioned) for index in table.get("GlobalSecondaryIndexes") or ()),
        *(_index(index, "LSI", provisioned) for index in table.get("LocalSecondaryIndexes") or ()),
    ]
    stream = table.get("StreamSpecification") or {}
    return TableDescription(
        name=table["TableName"],
        status=table["TableStatus"],
        partition=partition[0],
        sort=sort[0] if sort else None,
        key_types={
            definition["AttributeName"]: definition["AttributeType"]
            for definition in table.get("AttributeDefinitions") or ()
        },
        billing_mode=billing,
        indexes={index.name: index for index in indexes},
        item_count=table.get("ItemCount", 0),
        size_bytes=table.get("TableSizeBytes", 0),
        arn=table.get("TableArn"),
        id=table.get("TableId"),
        created=table.get("CreationDateTime"),
        stream=stream.get("StreamViewType") if stream.get("StreamEnabled") else None,
        stream_arn=table.get("LatestStreamArn"),
        replicas=_replicas(table),
        multi_region_consistency=table.get("MultiRegionConsistency"),
        encryption=_encryption(table.get("SSEDescription") or {}),
        deletion_protection=table.get("DeletionProtectionEnabled") is True,
        # DynamoDB leaves the class out while it is the default one.
        table_class=(table.get("TableClassSummary") or {}).get("TableClass", "STANDARD"),
        **_throughputs(table, provisioned),
    )


def _index(index: dict[str, Any], kind: str, provisioned: bool) -> IndexDescription:
    partition, sort = _parts_of(index["KeySchema"])
    projection = index.get("Projection") or {}
    return IndexDescription(
        name=index["IndexName"],
        kind=kind,
        partition=partition,
        sort=sort,
        projection=projection.get("ProjectionType", "ALL"),
        projected=tuple(projection.get("NonKeyAttributes") or ()),
        status=index.get("IndexStatus"),
        backfilling=index.get("Backfilling") is True,
        item_count=index.get("ItemCount", 0),
        size_bytes=index.get("IndexSizeBytes", 0),
        **(_throughputs(index, provisioned) if kind == "GSI" else {}),
    )


def _replicas(table: dict[str, Any]) -> tuple[str, ...]:
    """The other Regions: a table's ARN tells its own."""
    own = (table.get("TableArn") or "").split(":")[3:4]
    return tuple(
        sorted({name for replica in table.get("Replicas") or () if (name := replica["RegionName"]) not in own})
    )


def _parts_of(keys: list[dict[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    partition = tuple(key["AttributeName"] for key in keys if key["KeyType"] == "HASH")
    return partition, tuple(key["AttributeName"] for key in keys if key["KeyType"] == "RANGE")


def _throughputs(described: dict[str, Any], provisioned: bool) -> dict[str, Any]:
    units = described.get("ProvisionedThroughput") if provisioned else None
    return {
        "throughput": _pair(units, "ReadCapacityUnits", "WriteCapacityUnits"),
        "max_throughput": _pair(described.get("OnDemandThroughput"), "MaxReadRequestUnits", "MaxWriteRequestUnits"),
        "warm_throughput": _pair(described.get("WarmThroughput"), "ReadUnitsPerSecond", "WriteUnitsPerSecond"),
    }


def _pair(limits: dict[str, Any] | None, read: str, write: str) -> Throughput | None:
    """Zero and -1 mean that there is no such number."""
    parts = [
        value if isinstance(value := (limits or {}).get(name), int) and value > 0 else None for name in (read, write)
    ]
    return Throughput(*parts) if any(parts) else None


def _encryption(encryption: dict[str, Any]) -> str:
    if encryption.get("SSEType") != "KMS" or encryption.get("Status") in ("DISABLED", "DISABLING"):
        return "AWS_OWNED"
    key: str = encryption.get("KMSMasterKeyArn") or "AWS_MANAGED"
    return "AWS_MANAGED" if key.endswith("alias/aws/dynamodb") else key


def read_ttl(body: bytes) -> tuple[str, str]:
    """The reply to DescribeTimeToLive: the expiring attribute (empty: expiry is off), and the status."""
    ttl = read_object(body).get("TimeToLiveDescription") or {}
    status = ttl.get("TimeToLiveStatus", "DISABLED")
    return (ttl.get("AttributeName") or "" if status in ("ENABLED", "ENABLING") else ""), status


def read_recovery(body: bytes) -> tuple[bool, int | None]:
    """The reply to DescribeContinuousBackups: whether point-in-time recovery is on, and for how many days."""
    backups = read_object(body).get("ContinuousBackupsDescription") or {}
    recovery = backups.get("PointInTimeRecoveryDescription") or {}
    return recovery.get("PointInTimeRecoveryStatus") == "ENABLED", recovery.get("RecoveryPeriodInDays")
