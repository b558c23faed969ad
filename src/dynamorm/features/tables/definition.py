"""A wanted table in DynamoDB's words: the CreateTable request and the parts that UpdateTable shares with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dynamorm.models.schema.table_settings import IndexSettings, TableSettings, Throughput

from .wanted import WantedIndex, WantedTable


def create_request(table: WantedTable) -> dict[str, Any]:
    """The CreateTable request. Expiry and point-in-time recovery can only be switched on afterwards."""
    settings = table.settings
    request: dict[str, Any] = {
        "TableName": table.name,
        "BillingMode": "PROVISIONED" if settings.provisioned else "PAY_PER_REQUEST",
        "AttributeDefinitions": attribute_definitions(table, table.key_types),
        "KeySchema": key_schema((table.partition,), () if table.sort is None else (table.sort,)),
    }
    for kind, member in (("GSI", "GlobalSecondaryIndexes"), ("LSI", "LocalSecondaryIndexes")):
        indexes = [index_definition(table, index) for index in table.indexes.values() if index.kind == kind]
        if indexes:
            request[member] = indexes
    request |= throughputs(settings.throughput, settings.max_throughput, settings.warm_throughput)
    if settings.stream:
        request["StreamSpecification"] = stream_specification(settings.stream)
    if settings.encryption not in (None, "AWS_OWNED"):
        request["SSESpecification"] = sse_specification(settings.encryption)
    if settings.deletion_protection:
        request["DeletionProtectionEnabled"] = True
    if settings.table_class is not None:
        request["TableClass"] = settings.table_class
    if settings.tags:
        request["Tags"] = tag_list(settings.tags)
    return request


def attribute_definitions(table: WantedTable, names: Iterable[str]) -> list[dict[str, str]]:
    """The types of key attributes."""
    return [{"AttributeName": name, "AttributeType": table.key_types[name]} for name in names]


def key_schema(partition: tuple[str, ...], sort: tuple[str, ...]) -> list[dict[str, str]]:
    """A key, of a table or an index; an index may have several attributes of each kind."""
    return [
        *({"AttributeName": name, "KeyType": "HASH"} for name in partition),
        *({"AttributeName": name, "KeyType": "RANGE"} for name in sort),
    ]


def index_definition(
    table: WantedTable, index: WantedIndex, *, provisioned: bool | None = None, default: Throughput | None = None
) -> dict[str, Any]:
    """An index, with its throughput when it is a global one.

    ``provisioned`` says how a live table is billed, ``default`` the units that an index gets which has none of its own.
    """
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.projection == "INCLUDE":
        projection["NonKeyAttributes"] = list(index.projected)
    definition: dict[str, Any] = {
        "IndexName": index.name,
        "KeySchema": key_schema(index.partition, index.sort),
        "Projection": projection,
    }
    if index.kind == "LSI":
        return definition
    settings = table.settings
    own = settings.indexes.get(index.name, IndexSettings())
    if settings.provisioned if provisioned is None else provisioned:
        units = index_units(settings, index.name, default)
        return definition | throughputs(units, None, own.warm_throughput)
    return definition | throughputs(None, own.max_throughput, own.warm_throughput)


def index_units(settings: TableSettings, name: str, default: Throughput | None = None) -> Throughput | None:
    """The units of a global index of a provisioned table: its own, or the table's."""
    return settings.indexes.get(name, IndexSettings()).throughput or settings.throughput or default


def throughputs(units: Throughput | None, most: Throughput | None, warm: Throughput | None) -> dict[str, Any]:
    """The three kinds of throughput, as far as they are said."""
    parameters: dict[str, Any] = {}
    if units is not None:
        parameters["ProvisionedThroughput"] = _pair(units, "ReadCapacityUnits", "WriteCapacityUnits")
    if most is not None:
        parameters["OnDemandThroughput"] = _pair(most, "MaxReadRequestUnits", "MaxWriteRequestUnits")
    if warm is not None:
        parameters["WarmThroughput"] = _pair(warm, "ReadUnitsPerSecond", "WriteUnitsPerSecond")
    return parameters


def _pair(given: Throughput, read: str, write: str) -> dict[str, int]:
    return {name: value for name, value in ((read, given.read), (write, given.write)) if value is not None}


def stream_specification(view: str | None) -> dict[str, Any]:
    """Whether changes are recorded, and what of them."""
    return {"StreamEnabled": True, "StreamViewType": view} if view else {"StreamEnabled": False}


def sse_specification(encryption: str | None) -> dict[str, Any]:
    """Whose key encrypts the table."""
    if encryption in (None, "AWS_OWNED"):
        return {"Enabled": False}
    specification: dict[str, Any] = {"Enabled": True, "SSEType": "KMS"}
    if encryption != "AWS_MANAGED":
        specification["KMSMasterKeyId"] = encryption
    return specification


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags, in the order of their names."""
    return [{"Key": name, "Value": tags[name]} for name in sorted(tags)]


def recovery_specification(wanted: bool | int) -> dict[str, Any]:
    """Whether the table can be restored to any moment of the last days, and of how many."""
    specification: dict[str, Any] = {"PointInTimeRecoveryEnabled": wanted is not False}
    if not isinstance(wanted, bool):
        specification["RecoveryPeriodInDays"] = wanted
    return specification
