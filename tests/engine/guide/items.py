"""Behaviours of items: put, get, update, delete, batches, values, keys, capacity."""

from __future__ import annotations

from typing import Any

from .kit import ABSENT, NOT_FOUND, C, Row, V, av, w
from .tables import BICYCLE, ITEMS

WORKING = "dg:WorkingWithItems"
NAMING = "dg:HowItWorks.NamingRulesDataTypes"
LIMITS = "dg:Constraints"
CAPACITY = "dg:CapacityUnitCalculations"
SONG = {"TableName": "Music", "Key": w(Artist="No One You Know", SongTitle="Howdy")}
CATALOG = {"TableName": "ProductCatalog"}


def stored(value: Any, expected: Any, page: str = NAMING) -> Row:
    """A value is put, and read as it is stored; or refused."""
    request = {**CATALOG, "Item": {**w(Id=1), "v": value}}
    key = {**CATALOG, "Key": w(Id=1)}
    if isinstance(expected, str):
        return Row(page, "put_item", request, expected, after=("get_item", key, {"Item": ABSENT}))
    return Row(page, "put_item", request, {}, after=("get_item", key, {"Item": {"v": expected}}))


def deep(levels: int) -> dict[str, Any]:
    """A list in a list in a list."""
    value = av("end")
    for _ in range(levels):
        value = {"L": [value]}
    return value


VALUES = [
    stored({"S": ""}, {"S": ""}),
    stored({"S": "é" * 3}, {"S": "ééé"}),
    stored({"B": b""}, {"B": b""}),
    stored({"B": b"\x00\xff"}, {"B": b"\x00\xff"}),
    stored({"BOOL": False}, {"BOOL": False}),
    stored({"NULL": True}, {"NULL": True}),
    stored({"NULL": False}, V),
    stored({"N": "007"}, {"N": "7"}),
    stored({"N": "1.50"}, {"N": "1.5"}),
    stored({"N": "1" * 38}, {"N": "1" * 38}),
    stored({"N": "1" * 39}, V),
    stored({"N": "1E126"}, V),
    stored({"N": "1E-131"}, V),
    stored({"N": "one"}, V),
    stored({"SS": ["a", "b"]}, {"SS": ["a", "b"]}),
    stored({"SS": []}, V),
    stored({"SS": ["a", "a"]}, V),
    stored({"NS": ["1", "1.0"]}, V),
    stored({"L": []}, {"L": []}),
    stored({"M": {}}, {"M": {}}),
    stored({"L": [{"S": "Cookies"}, {"N": "3.14159"}]}, {"L": [{"S": "Cookies"}, {"N": "3.14159"}]}),
    stored({"M": {"": {"S": "x"}}}, V),
    stored(deep(31), deep(31), LIMITS),
    stored(deep(32), V, LIMITS),
    stored({"S": "x" * (400 * 1024 - 5)}, {"S": "x" * (400 * 1024 - 5)}, LIMITS),
    stored({"S": "x" * (400 * 1024)}, V, LIMITS),
]

KEYS = [
    Row(WORKING, "put_item", {**CATALOG, "Item": w(Title="x")}, V),
    Row(WORKING, "put_item", {**CATALOG, "Item": w(Id="1")}, V),
    Row(WORKING, "put_item", {"TableName": "Music", "Item": w(Artist="x")}, V),
    Row(NAMING, "put_item", {"TableName": "Music", "Item": w(Artist="", SongTitle="x")}, V),
    Row(LIMITS, "put_item", {"TableName": "Music", "Item": w(Artist="x" * 2048, SongTitle="x" * 1024)}),
    Row(LIMITS, "put_item", {"TableName": "Music", "Item": w(Artist="x" * 2049, SongTitle="x")}, V),
    Row(LIMITS, "put_item", {"TableName": "Music", "Item": w(Artist="x", SongTitle="x" * 1025)}, V),
    Row(WORKING, "get_item", {"TableName": "Music", "Key": w(Artist="x")}, V),
    Row(WORKING, "get_item", {"TableName": "Music", "Key": w(Artist="x", SongTitle="x", More="x")}, V),
    Row(WORKING, "get_item", {"TableName": "Nothing", "Key": w(Id=1)}, NOT_FOUND),
    Row(LIMITS, "get_item", {"TableName": "no table!", "Key": w(Id=1)}, V),
]

ONE = [
    Row(WORKING, "get_item", SONG, {"Item": ITEMS["Music"][1]}),
    Row(WORKING, "get_item", {**CATALOG, "Key": w(Id=9)}, {"Item": ABSENT}),
    Row("dg:HowItWorks.ReadConsistency", "get_item", {**SONG, "ConsistentRead": True}, {"Item": ITEMS["Music"][1]}),
    Row(WORKING, "put_item", {**CATALOG, "Item": w(Id=123, Title="new")}, {"Attributes": ABSENT}, after=("get_item", {**CATALOG, "Key": w(Id=123)}, {"Item": lambda one: one == w(Id=123, Title="new")})),
    Row(WORKING, "put_item", {**CATALOG, "Item": w(Id=123), "ReturnValues": "ALL_OLD"}, {"Attributes": BICYCLE}),
    Row(WORKING, "put_item", {**CATALOG, "Item": w(Id=9), "ReturnValues": "ALL_OLD"}, {"Attributes": ABSENT}),
    Row("api:PutItem", "put_item", {**CATALOG, "Item": w(Id=9), "ReturnValues": "ALL_NEW"}, V),
    Row(WORKING, "delete_item", {**CATALOG, "Key": w(Id=123), "ReturnValues": "ALL_OLD"}, {"Attributes": BICYCLE}),
    Row(WORKING, "delete_item", {**CATALOG, "Key": w(Id=9)}, {"Attributes": ABSENT}),
    Row("api:DeleteItem", "delete_item", {**CATALOG, "Key": w(Id=9), "ReturnValues": "UPDATED_OLD"}, V),
    Row(WORKING, "update_item", {**CATALOG, "Key": w(Id=9), "UpdateExpression": "SET a = :v", "ExpressionAttributeValues": w(v_v=1), "ReturnValues": "ALL_NEW"}, {"Attributes": w(Id=9, a=1)}),
    Row(WORKING, "update_item", {**CATALOG, "Key": w(Id=9)}, {}, after=("get_item", {**CATALOG, "Key": w(Id=9)}, {"Item": w(Id=9)})),
    Row("api:UpdateItem", "update_item", {**CATALOG, "Key": w(Id=123), "UpdateExpression": "SET Price = :v", "ExpressionAttributeValues": w(v_v=1), "ReturnValues": "UPDATED_OLD"}, {"Attributes": lambda one: one == w(Price=500)}),
    Row("api:UpdateItem", "update_item", {**CATALOG, "Key": w(Id=123), "UpdateExpression": "SET Price = :v", "ExpressionAttributeValues": w(v_v=1), "ReturnValues": "UPDATED_NEW"}, {"Attributes": lambda one: one == w(Price=1)}),
    Row("api:UpdateItem", "update_item", {**CATALOG, "Key": w(Id=123), "UpdateExpression": "SET Price = :v", "ExpressionAttributeValues": w(v_v=1), "ReturnValues": "ALL_OLD"}, {"Attributes": BICYCLE}),
    Row("api:UpdateItem", "update_item", {**CATALOG, "Key": w(Id=9), "UpdateExpression": "SET Price = :v", "ExpressionAttributeValues": w(v_v=1), "ConditionExpression": "attribute_exists(Id)"}, C),
    Row(WORKING, "update_item", {**CATALOG, "Key": w(Id=9), "UpdateExpression": "ADD Hits :v", "ExpressionAttributeValues": w(v_v=1)}, before=[("update_item", {**CATALOG, "Key": w(Id=9), "UpdateExpression": "ADD Hits :v", "ExpressionAttributeValues": w(v_v=1)})] * 4, after=("get_item", {**CATALOG, "Key": w(Id=9)}, {"Item": w(Hits=5)})),
]  # fmt: skip

BATCHES = [
    Row(WORKING, "batch_get_item", {"RequestItems": {"Music": {"Keys": [SONG["Key"], w(Artist="x", SongTitle="x")]}}}, {"Responses": {"Music": [ITEMS["Music"][1]]}, "UnprocessedKeys": {}}),
    Row(WORKING, "batch_get_item", {"RequestItems": {"Music": {"Keys": [SONG["Key"]]}, "ProductCatalog": {"Keys": [w(Id=123)], "ProjectionExpression": "Price"}}}, {"Responses": {"Music": [{}], "ProductCatalog": [w(Price=500)]}}),
    Row("api:BatchGetItem", "batch_get_item", {"RequestItems": {"ProductCatalog": {"Keys": [w(Id=1), w(Id=1)]}}}, V),
    Row("api:BatchGetItem", "batch_get_item", {"RequestItems": {"ProductCatalog": {"Keys": [w(Id=one) for one in range(101)]}}}, V),
    Row("api:BatchGetItem", "batch_get_item", {"RequestItems": {"Nothing": {"Keys": [w(Id=1)]}}}, NOT_FOUND),
    Row("api:BatchGetItem", "batch_get_item", {"RequestItems": {"ProductCatalog": {"Keys": [w(Id=one) for one in range(1, 51)]}}}, {"UnprocessedKeys": {"ProductCatalog": {"Keys": lambda keys: 0 < len(keys) < 50}}}, before=[("put_item", {**CATALOG, "Item": w(Id=one, v="x" * 390_000)}) for one in range(1, 51)]),
    Row(WORKING, "batch_write_item", {"RequestItems": {"ProductCatalog": [{"PutRequest": {"Item": w(Id=9)}}, {"DeleteRequest": {"Key": w(Id=123)}}]}}, {"UnprocessedItems": {}}, after=("scan", CATALOG, {"Count": 2})),
    Row("api:BatchWriteItem", "batch_write_item", {"RequestItems": {"ProductCatalog": [{"PutRequest": {"Item": w(Id=9)}}, {"DeleteRequest": {"Key": w(Id=9)}}]}}, V),
    Row("api:BatchWriteItem", "batch_write_item", {"RequestItems": {"ProductCatalog": [{"PutRequest": {"Item": w(Id=one)}} for one in range(26)]}}, V),
    Row("api:BatchWriteItem", "batch_write_item", {"RequestItems": {"ProductCatalog": [{"PutRequest": {"Item": w(Id=9)}}, {"PutRequest": {"Item": w(Title="x")}}]}}, V, after=("get_item", {**CATALOG, "Key": w(Id=9)}, {"Item": ABSENT})),
    Row("api:BatchWriteItem", "batch_write_item", {"RequestItems": {"Nothing": [{"PutRequest": {"Item": w(Id=9)}}]}}, NOT_FOUND),
]  # fmt: skip


def costs(operation: str, request: dict[str, Any], units: float, page: str = CAPACITY, **more: Any) -> Row:
    """A request, and what it consumed."""
    return Row(
        page,
        operation,
        {**request, "ReturnConsumedCapacity": "TOTAL"},
        {"ConsumedCapacity": {"CapacityUnits": units}},
        **more,
    )


def sized(number: int, size: int) -> dict[str, Any]:
    """An item of so many bytes."""
    return {**CATALOG, "Item": w(Id=number, v="x" * (size - 5))}


COSTS = [
    costs("put_item", sized(1, 1024), 1.0),
    costs("put_item", sized(1, 1025), 2.0),
    costs("put_item", {**CATALOG, "Item": w(Id=1)}, 3.0, before=[("put_item", sized(1, 3000))]),
    costs("get_item", {**CATALOG, "Key": w(Id=1)}, 0.5, before=[("put_item", sized(1, 4096))]),
    costs("get_item", {**CATALOG, "Key": w(Id=1)}, 1.0, before=[("put_item", sized(1, 4097))]),
    costs("get_item", {**CATALOG, "Key": w(Id=1), "ConsistentRead": True}, 2.0, before=[("put_item", sized(1, 4097))]),
    costs("get_item", {**CATALOG, "Key": w(Id=9), "ConsistentRead": True}, 1.0),
    costs("get_item", {**CATALOG, "Key": w(Id=1), "ProjectionExpression": "Id"}, 1.0, before=[("put_item", sized(1, 8000))]),
    costs("delete_item", {**CATALOG, "Key": w(Id=1)}, 3.0, before=[("put_item", sized(1, 3000))]),
    costs("delete_item", {**CATALOG, "Key": w(Id=9)}, 1.0),
    costs("update_item", {**CATALOG, "Key": w(Id=1), "UpdateExpression": "SET a = :v", "ExpressionAttributeValues": w(v_v=1)}, 3.0, before=[("put_item", sized(1, 3000))]),
    costs("put_item", {"TableName": "GameScores", "Item": w(UserId="9", GameTitle="x", TopScore=1)}, 3.0, "dg:GSI"),
    costs("put_item", {"TableName": "GameScores", "Item": w(UserId="9", GameTitle="x")}, 2.0, "dg:GSI"),
    Row("dg:GSI", "put_item", {"TableName": "GameScores", "Item": w(UserId="9", GameTitle="x"), "ReturnConsumedCapacity": "INDEXES"}, {"ConsumedCapacity": {"Table": {"CapacityUnits": 1.0}, "GlobalSecondaryIndexes": lambda one: one == {"ByGame": {"CapacityUnits": 1.0}}}}),
    Row("api:ConsumedCapacity", "get_item", {**SONG, "ReturnConsumedCapacity": "NONE"}, {"ConsumedCapacity": ABSENT}),
    Row("dg:LSI", "put_item", {"TableName": "Thread", "Item": w(ForumName="S3", Subject="x"), "ReturnItemCollectionMetrics": "SIZE"}, {"ItemCollectionMetrics": {"ItemCollectionKey": w(ForumName="S3"), "SizeEstimateRangeGB": [0.0, 1.0]}}),
]  # fmt: skip

ROWS = [*VALUES, *KEYS, *ONE, *BATCHES, *COSTS]
