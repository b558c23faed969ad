"""The floor: one socket, headers prepared beforehand, one signature, one JSON decode, and nothing else.

No pool, no deadline, no checksum, no retry, no model. It is what a GetItem costs in Python at the very least.
"""

from __future__ import annotations

import socket
from functools import partial
from hashlib import sha256
from hmac import digest
from time import gmtime, strftime

import msgspec

from benchmarks import sample
from benchmarks.libraries.base import Library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation

decode, encode = msgspec.json.decode, msgspec.json.encode


class Wire:
    """One connection that signs and sends."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("http://").partition(":")
        self.host = f"{host}:{port}"
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.second = ""

    def new_second(self, second: str) -> None:
        """Prepare the key and the headers, which stay the same for a second."""
        self.second = second
        key = b"AWS4" + sample.SECRET.encode()
        for part in (second[:8], sample.REGION, "dynamodb", "aws4_request"):
            key = digest(key, part.encode(), "sha256")
        self.key = key
        self.scope = f"{second[:8]}/{sample.REGION}/dynamodb/aws4_request"
        self.to_sign = f"AWS4-HMAC-SHA256\n{second}\n{self.scope}\n".encode()

    def call(self, target: str, body: bytes) -> bytes:
        """Send one request and return the body of its answer."""
        second = strftime("%Y%m%dT%H%M%SZ", gmtime())
        if second != self.second:
            self.new_second(second)
        canonical = (
            f"POST\n/\n\nhost:{self.host}\nx-amz-date:{second}\nx-amz-target:DynamoDB_20120810.{target}\n\n"
            f"host;x-amz-date;x-amz-target\n{sha256(body).hexdigest()}"
        )
        signature = digest(self.key, self.to_sign + sha256(canonical.encode()).hexdigest().encode(), "sha256").hex()
        head = (
            f"POST / HTTP/1.1\r\nHost: {self.host}\r\nX-Amz-Date: {second}\r\n"
            f"X-Amz-Target: DynamoDB_20120810.{target}\r\nContent-Type: application/x-amz-json-1.0\r\n"
            f"Content-Length: {len(body)}\r\nAuthorization: AWS4-HMAC-SHA256 Credential={sample.KEY_ID}/{self.scope}, "
            f"SignedHeaders=host;x-amz-date;x-amz-target, Signature={signature}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + body)
        data = self.socket.recv(65536)
        end = data.index(b"\r\n\r\n") + 4
        at = data.index(b"Content-Length: ") + 16
        missing = end + int(data[at : data.index(b"\r", at)]) - len(data)
        if missing:
            parts = [data[end:]]
            while missing > 0:
                parts.append(self.socket.recv(min(missing, 1 << 20)))
                missing -= len(parts[-1])
            return b"".join(parts)
        return data[end:]


class Text(msgspec.Struct):
    """A text on the wire."""

    S: str


class Number(msgspec.Struct):
    """A number on the wire."""

    N: int


class Texts(msgspec.Struct):
    """A list of texts on the wire."""

    L: list[Text]


class Map(msgspec.Struct):
    """A map of texts on the wire."""

    M: dict[str, Text]


class Payment(msgspec.Struct):
    """A payment on the wire. The numbers come as texts, which msgspec reads as such only in its lax mode."""

    merchant_id: Text
    id: Text
    idempotency_key: Text
    amount: Number
    currency: Text
    status: Text
    created_at: Text
    version: Number
    tags: Texts
    metadata: Map


class Got(msgspec.Struct):
    """GetItem's and UpdateItem's answer."""

    Item: Payment | None = None
    Attributes: Payment | None = None


class Found(msgspec.Struct):
    """Query's answer."""

    Items: list[Payment]


class Batch(msgspec.Struct):
    """BatchGetItem's answer."""

    Responses: dict[str, list[Payment]]


def item(value: dict[str, Any]) -> dict[str, Any]:
    """A sample as it goes over the wire."""
    from benchmarks.payload import wire_item

    return wire_item(value, "iso")


class Floor(Library):
    """Talks to DynamoDB with nothing in between."""

    concurrent = False

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.wire = Wire(endpoint)
        self.call = self.wire.call
        self.got = msgspec.json.Decoder(Got, strict=False).decode
        self.batch = msgspec.json.Decoder(Batch, strict=False).decode
        self.found = msgspec.json.Decoder(Found, strict=False).decode

    def close(self) -> None:
        self.wire.socket.close()

    def get(self) -> Operation:
        def get(merchant: str = sample.MERCHANT, key: str = "payment-00000001") -> Any:
            body = {"TableName": "iso-payments", "Key": {"merchant_id": {"S": merchant}, "id": {"S": key}}}
            return self.got(self.call("GetItem", encode(body))).Item

        return get

    def put(self) -> Operation:
        return self._put("iso-payments", item(sample.payment(1)))

    def _put(self, table: str, stored: dict[str, Any]) -> Operation:
        return lambda: decode(self.call("PutItem", encode({"TableName": table, "Item": stored})))

    def update(self) -> Operation:
        def update() -> Any:
            body = {
                "TableName": "iso-payments",
                "Key": {"merchant_id": {"S": sample.MERCHANT}, "id": {"S": "payment-00000001"}},
                "UpdateExpression": "SET #s = :s, amount = :a, version = :n",
                "ConditionExpression": "version = :v",
                "ExpressionAttributeNames": {"#s": "status"},
                "ExpressionAttributeValues": {
                    ":s": {"S": "done"},
                    ":a": {"N": "5"},
                    ":n": {"N": "4"},
                    ":v": {"N": "3"},
                },
                "ReturnValues": "ALL_NEW",
            }
            return self.got(self.call("UpdateItem", encode(body))).Attributes

        return update

    def query(self, count: int) -> Operation:
        if count > 1000:  # one page: the floor follows no cursor
            return super().query(count)

        def query() -> Any:
            body = {
                "TableName": f"iso-payments-{count}",
                "KeyConditionExpression": "merchant_id = :m",
                "ExpressionAttributeValues": {":m": {"S": sample.MERCHANT}},
            }
            return self.found(self.call("Query", encode(body))).Items

        return query

    def batch_get(self) -> Operation:
        keys = [{"merchant_id": {"S": sample.MERCHANT}, "id": {"S": sample.name(n)}} for n in range(100)]

        def get() -> Any:
            body = {"RequestItems": {"iso-payments": {"Keys": keys}}}
            return self.batch(self.call("BatchGetItem", encode(body))).Responses["iso-payments"]

        return get

    def batch_write(self) -> Operation:
        puts = [{"PutRequest": {"Item": item(sample.payment(n))}} for n in range(100)]

        def write() -> None:
            for at in range(0, 100, 25):
                body = {"RequestItems": {"iso-payments": puts[at : at + 25]}}
                decode(self.call("BatchWriteItem", encode(body)))

        return write

    def transaction(self) -> Operation:
        puts = [{"Put": {"TableName": "iso-payments", "Item": item(sample.payment(n))}} for n in range(10)]
        return lambda: decode(self.call("TransactWriteItems", encode({"TransactItems": puts})))

    def wide_get(self) -> Operation:
        return partial(self._get, "iso-wide", "wide-1")

    def wide_put(self) -> Operation:
        return self._put("iso-wide", item(sample.wide()))

    def blob_get(self, size: int) -> Operation:
        return partial(self._get, f"iso-blob-{size}", f"blob-{size}")

    def blob_put(self, size: int) -> Operation:
        return self._put(f"iso-blob-{size}", item(sample.blob(size)))

    def _get(self, table: str, key: str) -> Any:
        return decode(self.call("GetItem", encode({"TableName": table, "Key": {"id": {"S": key}}})))["Item"]


connect = Floor
