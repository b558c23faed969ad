"""The boto3 client: DynamoDB's wire values in and out, as dicts."""

from __future__ import annotations

import boto3

from benchmarks import sample
from benchmarks.libraries.base import Threaded
from benchmarks.sample import SEGMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation


def key(number: int) -> dict[str, Any]:
    """The key of a payment."""
    return {"merchant_id": {"S": sample.MERCHANT}, "id": {"S": sample.name(number)}}


KEY = key(1)


def item(value: dict[str, Any]) -> dict[str, Any]:
    """A sample as wire values, which users of the client write by hand: making them is not measured."""
    from benchmarks.payload import wire_item

    return wire_item(value, "iso")


class Boto3Client(Threaded):
    """``boto3.client("dynamodb")`` with its defaults, but for a pool as large as the 64 threads need."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        from botocore.config import Config

        self.client = boto3.client("dynamodb", endpoint_url=endpoint, config=Config(max_pool_connections=64))

    def close(self) -> None:
        self.client.close()

    def get(self) -> Operation:
        return lambda: self.client.get_item(TableName="iso-payments", Key=KEY)["Item"]

    def put(self) -> Operation:
        stored = item(sample.payment(1))
        return lambda: self.client.put_item(TableName="iso-payments", Item=stored)

    def update(self) -> Operation:
        return lambda: self.client.update_item(
            TableName="iso-payments",
            Key=KEY,
            UpdateExpression="SET #s = :s, amount = :a, version = :n",
            ConditionExpression="version = :v",
            ExpressionAttributeNames={"#s": "status"},
            ExpressionAttributeValues={":s": {"S": "done"}, ":a": {"N": "5"}, ":n": {"N": "4"}, ":v": {"N": "3"}},
            ReturnValues="ALL_NEW",
        )["Attributes"]

    def query(self, count: int) -> Operation:
        pages = self.client.get_paginator("query")

        def query() -> list[Any]:
            found = pages.paginate(
                TableName=f"iso-payments-{count}",
                KeyConditionExpression="merchant_id = :m",
                ExpressionAttributeValues={":m": {"S": sample.MERCHANT}},
            )
            return [one for page in found for one in page["Items"]]

        return query

    def batch_get(self) -> Operation:
        keys = [{"merchant_id": {"S": sample.MERCHANT}, "id": {"S": f"payment-{n:08d}"}} for n in range(100)]
        return lambda: self.client.batch_get_item(RequestItems={"iso-payments": {"Keys": keys}})["Responses"][
            "iso-payments"
        ]

    def batch_write(self) -> Operation:
        puts = [{"PutRequest": {"Item": item(sample.payment(n))}} for n in range(100)]

        def write() -> None:
            for at in range(0, 100, 25):
                self.client.batch_write_item(RequestItems={"iso-payments": puts[at : at + 25]})

        return write

    def transaction(self) -> Operation:
        puts = [{"Put": {"TableName": "iso-payments", "Item": item(sample.payment(n))}} for n in range(10)]
        return lambda: self.client.transact_write_items(TransactItems=puts)

    def wide_get(self) -> Operation:
        return lambda: self.client.get_item(TableName="iso-wide", Key={"id": {"S": "wide-1"}})["Item"]

    def wide_put(self) -> Operation:
        stored = item(sample.wide())
        return lambda: self.client.put_item(TableName="iso-wide", Item=stored)

    def blob_get(self, size: int) -> Operation:
        key = {"id": {"S": f"blob-{size}"}}
        return lambda: self.client.get_item(TableName=f"iso-blob-{size}", Key=key)["Item"]

    def blob_put(self, size: int) -> Operation:
        stored = item(sample.blob(size))
        return lambda: self.client.put_item(TableName=f"iso-blob-{size}", Item=stored)

    def scan(self) -> Operation:
        pages = self.client.get_paginator("scan")

        def segment(number: int) -> int:
            found = pages.paginate(TableName="iso-payments", Segment=number, TotalSegments=SEGMENTS)
            return sum(1 for page in found for _ in page["Items"])

        return self.together(segment, range(SEGMENTS))

    def read(self, number: int) -> Operation:
        return lambda: int(self.client.get_item(TableName="iso-payments", Key=key(number))["Item"]["amount"]["N"])

    def add(self, number: int) -> Operation:
        return lambda: self.client.update_item(
            TableName="iso-payments",
            Key=key(number),
            UpdateExpression="ADD amount :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    def create(self, number: int) -> Operation:
        stored = item(sample.payment(number))
        return lambda: self.client.put_item(
            TableName="iso-payments", Item=stored, ConditionExpression="attribute_not_exists(id)"
        )


connect = Boto3Client
