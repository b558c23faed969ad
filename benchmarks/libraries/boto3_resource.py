"""The boto3 resource: Python values in and out, as dicts. It has no transactions."""

from __future__ import annotations

import boto3
from boto3.dynamodb.conditions import Attr, Key

from benchmarks import sample
from benchmarks.libraries.base import Threaded
from benchmarks.sample import SEGMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation


def key(number: int) -> dict[str, Any]:
    """The key of a payment."""
    return {"merchant_id": sample.MERCHANT, "id": sample.name(number)}


KEY = key(1)


def item(value: dict[str, Any]) -> dict[str, Any]:
    """A sample in the types that the resource takes: it knows no time."""
    if "created_at" in value:
        value["created_at"] = value["created_at"].isoformat()
    return value


class Boto3Resource(Threaded):
    """``boto3.resource("dynamodb")`` with its defaults, but for a pool as large as the 64 threads need."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        from botocore.config import Config

        self.resource = boto3.resource("dynamodb", endpoint_url=endpoint, config=Config(max_pool_connections=64))
        self.table = self.resource.Table("iso-payments")

    def get(self) -> Operation:
        return lambda: self.table.get_item(Key=KEY)["Item"]

    def put(self) -> Operation:
        stored = item(sample.payment(1))
        return lambda: self.table.put_item(Item=stored)

    def update(self) -> Operation:
        return lambda: self.table.update_item(
            Key=KEY,
            UpdateExpression="SET #s = :s, amount = :a, version = :n",
            ConditionExpression=Attr("version").eq(sample.VERSION),
            ExpressionAttributeNames={"#s": "status"},
            ExpressionAttributeValues={":s": "done", ":a": 5, ":n": sample.VERSION + 1},
            ReturnValues="ALL_NEW",
        )["Attributes"]

    def query(self, count: int) -> Operation:
        table = self.resource.Table(f"iso-payments-{count}")

        def query() -> list[Any]:
            found: list[Any] = []
            more: dict[str, Any] = {}
            while True:
                page = table.query(KeyConditionExpression=Key("merchant_id").eq(sample.MERCHANT), **more)
                found += page["Items"]
                if "LastEvaluatedKey" not in page:
                    return found
                more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

        return query

    def batch_get(self) -> Operation:
        keys = [{"merchant_id": sample.MERCHANT, "id": f"payment-{n:08d}"} for n in range(100)]
        return lambda: self.resource.batch_get_item(RequestItems={"iso-payments": {"Keys": keys}})["Responses"][
            "iso-payments"
        ]

    def batch_write(self) -> Operation:
        items = [item(sample.payment(n)) for n in range(100)]

        def write() -> None:
            with self.table.batch_writer() as batch:
                for one in items:
                    batch.put_item(Item=one)

        return write

    def wide_get(self) -> Operation:
        table = self.resource.Table("iso-wide")
        return lambda: table.get_item(Key={"id": "wide-1"})["Item"]

    def wide_put(self) -> Operation:
        table, stored = self.resource.Table("iso-wide"), sample.wide()
        return lambda: table.put_item(Item=stored)

    def blob_get(self, size: int) -> Operation:
        table = self.resource.Table(f"iso-blob-{size}")
        return lambda: table.get_item(Key={"id": f"blob-{size}"})["Item"]

    def blob_put(self, size: int) -> Operation:
        table, stored = self.resource.Table(f"iso-blob-{size}"), sample.blob(size)
        return lambda: table.put_item(Item=stored)

    def scan(self) -> Operation:
        def segment(number: int) -> int:
            count = 0
            more: dict[str, Any] = {}
            while True:
                page = self.table.scan(Segment=number, TotalSegments=SEGMENTS, **more)
                count += len(page["Items"])
                if "LastEvaluatedKey" not in page:
                    return count
                more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

        return self.together(segment, range(SEGMENTS))

    def read(self, number: int) -> Operation:
        return lambda: int(self.table.get_item(Key=key(number))["Item"]["amount"])

    def add(self, number: int) -> Operation:
        return lambda: self.table.update_item(
            Key=key(number), UpdateExpression="ADD amount :one", ExpressionAttributeValues={":one": 1}
        )

    def create(self, number: int) -> Operation:
        stored = item(sample.payment(number))
        return lambda: self.table.put_item(Item=stored, ConditionExpression=Attr("id").not_exists())


connect = Boto3Resource
