"""Behaviours of transactions."""

from __future__ import annotations

from typing import Any

from .kit import ABSENT, CANCELLED, NOT_FOUND, Row, V, w
from .tables import BICYCLE

PAGE = "dg:transaction-apis"
TOKEN = "11111111-2222-3333-4444-555555555555"
CATALOG = {"TableName": "ProductCatalog"}


def put(number: Any, **more: Any) -> dict[str, Any]:
    return {"Put": {**CATALOG, "Item": w(Id=number), **more}}


def check(number: int, text: str, **more: Any) -> dict[str, Any]:
    return {"ConditionCheck": {**CATALOG, "Key": w(Id=number), "ConditionExpression": text, **more}}


def update(number: int, text: str, value: Any = None, **more: Any) -> dict[str, Any]:
    values = {} if value is None else {"ExpressionAttributeValues": w(v_v=value)}
    return {"Update": {**CATALOG, "Key": w(Id=number), "UpdateExpression": text, **values, **more}}


def delete(number: int, **more: Any) -> dict[str, Any]:
    return {"Delete": {**CATALOG, "Key": w(Id=number), **more}}


def get(number: int, **more: Any) -> dict[str, Any]:
    return {"Get": {**CATALOG, "Key": w(Id=number), **more}}


def writes(*items: Any, expected: Any = {}, after: Any = None, before: Any = (), page: str = PAGE, **more: Any) -> Row:  # noqa: B006 - it is read
    return Row(page, "transact_write_items", {"TransactItems": list(items), **more}, expected, before, after)


def codes(*wanted: str) -> tuple[str, Any]:
    """The reasons for which a transaction was cancelled."""
    return CANCELLED, {"CancellationReasons": [{"Code": one} for one in wanted]}


def read(number: int, expected: Any) -> Any:
    return "get_item", {**CATALOG, "Key": w(Id=number)}, {"Item": expected}


ABSENT_ROW = "attribute_not_exists(Id)"
EXISTS = "attribute_exists(Id)"

ROWS = [
    writes(put(1), put(2), after=("scan", CATALOG, {"Count": 4})),
    writes(put(1), update(456, "SET Price = :v", 9), delete(123), check(2, ABSENT_ROW), after=read(456, w(Price=9))),
    writes(put(1), check(123, ABSENT_ROW), expected=codes("None", "ConditionalCheckFailed"), after=read(1, ABSENT)),
    writes(put(123, ConditionExpression=ABSENT_ROW), check(9, EXISTS), expected=codes("ConditionalCheckFailed", "ConditionalCheckFailed"), after=read(123, BICYCLE)),
    writes(put(123, ConditionExpression=ABSENT_ROW, ReturnValuesOnConditionCheckFailure="ALL_OLD"), expected=(CANCELLED, {"CancellationReasons": [{"Item": BICYCLE}]})),
    writes(put(123, ConditionExpression=ABSENT_ROW), expected=(CANCELLED, {"CancellationReasons": [{"Item": ABSENT}]})),
    writes(put(1), update(123, "SET Title.a = :v", 9), expected=codes("None", "ValidationError"), after=read(1, ABSENT)),
    writes(put(1), update(123, "SET Title = Title + :v", 9), expected=codes("None", "ValidationError")),
    writes(put(1), put("x"), expected=codes("None", "ValidationError"), after=read(1, ABSENT)),
    writes(put(1), delete(1), expected=V),
    writes(put(1), check(1, ABSENT_ROW), expected=V),
    writes(*[put(one) for one in range(1, 101)], after=("scan", CATALOG, {"Count": 102})),
    writes(*[put(one) for one in range(1, 102)], expected=V),
    writes({"Put": {"TableName": "Nothing", "Item": w(Id=1)}}, put(1), expected=NOT_FOUND, after=read(1, ABSENT)),
    writes({**put(1), **delete(2)}, expected=V),
    writes(update(123, "SET Price = :v", 9, ConditionExpression="Nothing = :v"), expected=codes("ConditionalCheckFailed"), after=read(123, BICYCLE)),
    writes(update(9, "SET Price = :v", 9), after=read(9, w(Id=9, Price=9))),
    writes(*[{"Put": {**CATALOG, "Item": w(Id=one, v="x" * 390_000)}} for one in range(1, 12)], expected=V, after=read(1, ABSENT)),
    writes(update(123, "ADD Price :v", 1), before=[("transact_write_items", {"TransactItems": [update(123, "ADD Price :v", 1)], "ClientRequestToken": TOKEN})], ClientRequestToken=TOKEN, after=read(123, w(Price=501))),
    writes(update(123, "ADD Price :v", 2), before=[("transact_write_items", {"TransactItems": [update(123, "ADD Price :v", 1)], "ClientRequestToken": TOKEN})], ClientRequestToken=TOKEN, expected="IdempotentParameterMismatchException", after=read(123, w(Price=501))),
    writes(put(1), ClientRequestToken="x" * 37, expected=V),
    writes(put(1), ReturnConsumedCapacity="TOTAL", expected={"ConsumedCapacity": [{"TableName": "ProductCatalog", "CapacityUnits": 2.0, "WriteCapacityUnits": 2.0}]}, page="dg:CapacityUnitCalculations"),
    writes(check(123, EXISTS), ReturnConsumedCapacity="TOTAL", expected={"ConsumedCapacity": [{"CapacityUnits": 2.0}]}, page="dg:CapacityUnitCalculations"),
    writes({"Put": {"TableName": "Thread", "Item": w(ForumName="S3", Subject="x")}}, ReturnItemCollectionMetrics="SIZE", expected={"ItemCollectionMetrics": {"Thread": [{"ItemCollectionKey": w(ForumName="S3")}]}}, page="dg:LSI"),
    Row(PAGE, "transact_get_items", {"TransactItems": [get(123), get(9), get(456)]}, {"Responses": [{"Item": BICYCLE}, {"Item": ABSENT}, {"Item": w(Id=456)}]}),
    Row(PAGE, "transact_get_items", {"TransactItems": [get(123, ProjectionExpression="Price")]}, {"Responses": lambda one: one == [{"Item": w(Price=500)}]}),
    Row(PAGE, "transact_get_items", {"TransactItems": [get(123), get(123)]}, V),
    Row(PAGE, "transact_get_items", {"TransactItems": [get(one) for one in range(101)]}, V),
    Row(PAGE, "transact_get_items", {"TransactItems": [{"Get": {"TableName": "Nothing", "Key": w(Id=1)}}]}, NOT_FOUND),
    Row("dg:CapacityUnitCalculations", "transact_get_items", {"TransactItems": [get(123)], "ReturnConsumedCapacity": "TOTAL"}, {"ConsumedCapacity": [{"CapacityUnits": 2.0, "ReadCapacityUnits": 2.0}]}),
]  # fmt: skip
