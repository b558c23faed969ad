"""What a table may be made of, as CreateTable and UpdateTable say it. It must not know stored tables.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from dynamorm.engine.refusal import Refusal, invalid, wrong_parameter

MAX_GLOBAL: Final = 20
MAX_LOCAL: Final = 5
MAX_NON_KEY: Final = 100
MAX_PARTS: Final = 4
"""Attributes of each half of the key of a global index."""


def attribute_types(definitions: list[dict[str, str]] | None) -> dict[str, str]:
    """The types of attributes by their names. Raises: Refusal."""
    found: dict[str, str] = {}
    for one in definitions or ():
        if one["AttributeName"] in found:
            raise wrong_parameter(f"Duplicate AttributeName in AttributeDefinitions: {one['AttributeName']}")
        found[one["AttributeName"]] = one["AttributeType"]
    return found


def check_schema(schema: list[dict[str, str]], types: dict[str, str], parts: int = 1) -> set[str]:
    """Raise Refusal for a key that is none; the names of its attributes."""
    kinds = [one["KeyType"] for one in schema]
    names = [one["AttributeName"] for one in schema]
    if kinds[0] != "HASH":
        raise wrong_parameter("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if kinds.count("HASH") > parts or kinds.count("RANGE") > parts:
        raise invalid(
            "Too many KeySchema elements, or Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
        )
    if kinds != sorted(kinds):
        raise wrong_parameter("Invalid KeySchema: HASH keys come before RANGE keys")
    if len(set(names)) != len(names):
        raise wrong_parameter("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    missing = [name for name in names if name not in types]
    if missing:
        raise wrong_parameter(
            "Some index key attributes are not defined in AttributeDefinitions."
            f" Keys: [{', '.join(missing)}], AttributeDefinitions: [{', '.join(types)}]"
        )
    return set(names)


def check_projection(index: dict[str, Any]) -> None:
    """Raise Refusal for a projection that is none."""
    projection = index.get("Projection") or {}
    kind, names = projection.get("ProjectionType"), projection.get("NonKeyAttributes")
    if kind is None:
        raise wrong_parameter("Unknown ProjectionType: null")
    if kind == "INCLUDE" and not names:
        raise wrong_parameter("NonKeyAttributes must be specified when ProjectionType is INCLUDE")
    if kind != "INCLUDE" and names is not None:
        raise wrong_parameter(f"ProjectionType is {kind}, but NonKeyAttributes is specified")
    if names is not None and len(set(names)) != len(names):
        raise wrong_parameter("NonKeyAttributes holds a name twice")


def check_names(indexes: Iterable[dict[str, Any]]) -> None:
    """Raise Refusal where two indexes have one name."""
    seen: set[str] = set()
    for one in indexes:
        if one["IndexName"] in seen:
            raise wrong_parameter(f"Duplicate index name: {one['IndexName']}")
        seen.add(one["IndexName"])


def check_indexes(request: dict[str, Any], types: dict[str, str], *, provisioned: bool) -> set[str]:
    """Raise Refusal for indexes that cannot be; the names of the attributes of their keys."""
    schema = request["KeySchema"]
    global_ones, local_ones = request.get("GlobalSecondaryIndexes"), request.get("LocalSecondaryIndexes")
    for member, given, most in (("Global", global_ones, MAX_GLOBAL), ("Local", local_ones, MAX_LOCAL)):
        if given is not None and not given:
            raise wrong_parameter(f"List of {member}SecondaryIndexes is empty")
        if given is not None and len(given) > most:
            raise wrong_parameter(f"{member}SecondaryIndex count exceeds the per-table limit of {most}")
    every = [*(global_ones or ()), *(local_ones or ())]
    check_names(every)
    used: set[str] = set()
    for index in local_ones or ():
        used |= check_schema(index["KeySchema"], types)
        check_local(index, schema)
    for index in global_ones or ():
        used |= check_schema(index["KeySchema"], types, MAX_PARTS)
        check_throughput(index, provisioned=provisioned, of=f"index: {index['IndexName']}")
    for index in every:
        check_projection(index)
    if sum(len(index["Projection"].get("NonKeyAttributes") or ()) for index in every) > MAX_NON_KEY:
        raise wrong_parameter(f"The number of NonKeyAttributes of all indexes exceeds {MAX_NON_KEY}")
    return used


def check_local(index: dict[str, Any], schema: list[dict[str, str]]) -> None:
    """Raise Refusal for a local index that does not fit its table."""
    if len(schema) < 2:
        raise wrong_parameter(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        )
    if index["KeySchema"][0]["AttributeName"] != schema[0]["AttributeName"]:
        raise wrong_parameter(
            f"Index KeySchema does not have the same leading hash key as table KeySchema for index: {index['IndexName']}"
        )
    if len(index["KeySchema"]) < 2:
        raise wrong_parameter(f"Index KeySchema does not have a range key for index: {index['IndexName']}")


def check_throughput(definition: dict[str, Any], *, provisioned: bool, of: str = "table") -> None:
    """Raise Refusal where throughput is provisioned without being asked for, or the other way round."""
    given = definition.get("ProvisionedThroughput")
    if provisioned and given is None:
        raise wrong_parameter(
            f"ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED ({of})"
        )
    if not provisioned and given is not None:
        raise wrong_parameter(
            f"Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST ({of})"
        )


def check_stream(specification: dict[str, Any] | None) -> None:
    """Raise Refusal for a stream without a view, or a view without a stream."""
    if specification is None:
        return
    if specification.get("StreamEnabled") and not specification.get("StreamViewType"):
        raise wrong_parameter("StreamViewType is required when StreamEnabled is true")
    if not specification.get("StreamEnabled") and specification.get("StreamViewType"):
        raise wrong_parameter("StreamViewType must not be given when StreamEnabled is false")


def unused(types: dict[str, str], used: set[str]) -> Refusal | None:
    """What is said of attributes that no key has."""
    if set(types) <= used:
        return None
    return wrong_parameter(
        "Some AttributeDefinitions are not used."
        f" AttributeDefinitions: [{', '.join(types)}], keys used: [{', '.join(sorted(used))}]"
    )
