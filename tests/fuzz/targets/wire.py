"""What comes over the wire: the bytes of an HTTP answer, and the JSON in it."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from dynamorm import Attr, Model, Unique, attr, partition_key, sort_key, version
from dynamorm.effects import TransportError
from dynamorm.plugins import CostPlugin, LoggingPlugin, MetricsPlugin, TracingPlugin
from dynamorm.testing.replies import reply
from dynamorm.wire.http1 import Exchange
from tests.faults.scripted import Scripted
from tests.fuzz.kit import SECRET, Breach, Target, documented

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Tue, 01 Oct 2024 12:00:00 GMT\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"Content-Length: 13\r\nConnection: keep-alive\r\nx-amzn-RequestId: ABC123\r\nx-amz-crc32: 2745614147\r\n\r\n"
)
_HTTP: Final = (
    _HEAD + b'{"Item":null}',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{'a'\r\n4;x=y\r\n:1 }\r\n0\r\nt: u\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nx-amz-retry-after: 100\r\n\r\n",
    b"HTTP/1.0 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
)
_HTTP_WORDS: Final = (
    b"Content-Length:", b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1 ", b"\r\n\r\n", b"Connection: close\r\n", b"0\r\n\r\n", b"100 ", b"Upgrade: h2c\r\n",
    b"x-amz-crc32: ", b"Expect: 100-continue\r\n", b" \r\n", b"\t", b"Content-Length: 99999999999999999999\r\n", b"ffffffffffffffff\r\n",
)  # fmt: skip


def http() -> Target:
    """An answer ends in the same way in whatever pieces it comes."""
    return Target("http", lambda: list(_HTTP), _http, _HTTP_WORDS)


def _http(data: bytes) -> None:
    at = zlib.crc32(data) % (len(data) + 1)
    two = _fed([data[:at], data[at:]])
    if not isinstance(two, str) or two != "more":
        ones = _fed([data[place : place + 1] for place in range(min(len(data), 2_000))] + [data[2_000:]])
        # Bytes behind an answer are seen only where they come with its end: of what comes later the pool is told.
        if isinstance(two, tuple) and isinstance(ones, tuple) and two[:4] != ones[:4]:
            raise Breach(f"in two pieces {two}, byte for byte {ones}")
    whole = _fed([data])
    if isinstance(whole, tuple) and isinstance(two, tuple) and whole[:4] != two[:4]:
        raise Breach(f"in one piece {whole}, in two {two}")


def _fed(pieces: list[bytes]) -> Any:
    answer = Exchange()
    try:
        for piece in pieces:
            if piece and answer.feed(piece):
                _ = answer.date, answer.retry_after, answer.request_id
                return answer.status, answer.body, answer.crc, answer.raw_id, answer.reusable
    except TransportError as error:
        return error.stage
    return "more"


class Paid(Model, table="paid"):
    """With a field of each kind."""

    id: Attr[str] = partition_key()
    at: Attr[int] = sort_key()
    amount: Attr[int] = attr(default=0)
    price: Attr[Decimal | None] = attr(default=None)
    note: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    raw: Attr[bytes | None] = attr(default=None)
    due: Attr[datetime | None] = attr(default=None)
    lines: Attr[list[dict[str, Any]]] = attr(default_factory=list)
    version: Attr[int] = version()


class Owned(Model, table="owned"):
    """With a unique attribute."""

    id: Attr[str] = partition_key()
    mail: Attr[str] = attr(Unique())


_ITEM: Final[dict[str, Any]] = {
    "id": {"S": "p1"}, "at": {"N": "1"}, "amount": {"N": "100"}, "price": {"N": "1.50"}, "note": {"S": SECRET}, "tags": {"SS": ["a", SECRET]},
    "raw": {"B": "AAEC"}, "due": {"S": "2026-01-01T00:00:00+00:00"}, "version": {"N": "2"}, "_wt": {"B": "AAAAAAAAAAA="},
    "lines": {"L": [{"M": {"a": {"N": "1"}, "b": {"NULL": True}, "c": {"BOOL": False}, "d": {"S": SECRET}}}]},
}  # fmt: skip


def _loaded() -> Any:
    return Paid(id="p1", at=1, amount=3)


_VERBS: Final[dict[str, Callable[[Any], Any]]] = {
    "get": lambda db: db.get(Paid, "p1", 1),
    "owned": lambda db: db.get(Owned, "o1"),
    "query": lambda db: list(db.model(Paid).where(Paid.id == "p1").all()),
    "page": lambda db: db.model(Paid).where(Paid.id == "p1").limit(1).cursor_format("v0.1").page(),
    "count": lambda db: db.model(Paid).where(Paid.id == "p1").count(),
    "batch-get": lambda db: db.batch_get(Paid, [("p1", 1), ("p1", 2)]),
    "transact-get": lambda db: db.transact_get([(Paid, "p1", 1), (Owned, "o1")]),
    "put": lambda db: db.put(_loaded(), returning="old"),
    "create": lambda db: db.create(_loaded()),
    "update": lambda db: db.update(Paid, "p1", 1, Paid.note.set("x")),
    "upsert": lambda db: db.upsert(Paid, "p1", 1, Paid.amount.add(1)),
    "delete": lambda db: db.delete(Paid, "p1", 1, returning="old"),
    "increment": lambda db: db.increment(Paid, "p1", 1, Paid.amount),
    "batch-write": lambda db: db.batch_write(puts=[_loaded()]),
    "unique": lambda db: db.create(Owned(id="o1", mail="m")),
    "partiql": lambda db: db.partiql("SELECT * FROM {table} WHERE id = ?", ["p1"], model=Paid),
    "raw": lambda db: db.partiql('SELECT * FROM "paid" WHERE id = ?', ["p1"]),
    "describe": lambda db: db.tables.describe(Paid),
}


def _transaction(db: Any) -> None:
    with db.transaction() as tx:
        tx.update(Paid, "p1", 1, Paid.amount.add(1), condition=Paid.amount >= 1)
        tx.create(Paid(id="p1", at=2))


_VERBS["transaction"] = _transaction
_REFUSED: Final = {
    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
    "message": "failed",
    "Item": _ITEM,
}
_CANCELLED: Final = {
    "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "Message": "cancelled [ConditionalCheckFailed, None]",
    "CancellationReasons": [{"Code": "ConditionalCheckFailed", "Message": "m", "Item": _ITEM}, {"Code": "None"}],
}  # fmt: skip
_REPLIES: Final[dict[str, tuple[int, Any]]] = {
    "get": (200, {"Item": _ITEM, "ConsumedCapacity": {"TableName": "paid", "CapacityUnits": 0.5}}),
    "owned": (200, {"Item": {"id": {"S": "o1"}, "mail": {"S": SECRET}}}),
    "query": (200, {"Items": [_ITEM, _ITEM | {"at": {"N": "2"}}], "Count": 2, "ScannedCount": 2}),
    "page": (200, {"Items": [_ITEM], "Count": 1, "ScannedCount": 1, "LastEvaluatedKey": {"id": {"S": "p1"}, "at": {"N": "1"}}}),
    "count": (200, {"Count": 2, "ScannedCount": 3}),
    "batch-get": (200, {"Responses": {"paid": [_ITEM]}, "UnprocessedKeys": {"paid": {"Keys": [{"id": {"S": "p1"}, "at": {"N": "2"}}]}}}),
    "transact-get": (200, {"Responses": [{"Item": _ITEM}, {}]}),
    "put": (200, {"Attributes": _ITEM}),
    "create": (400, _REFUSED),
    "update": (200, {"Attributes": _ITEM, "Item": _ITEM}),
    "upsert": (400, _CANCELLED),
    "delete": (200, {"Attributes": _ITEM}),
    "increment": (200, {"Item": _ITEM}),
    "batch-write": (200, {"UnprocessedItems": {"paid": [{"PutRequest": {"Item": _ITEM}}]}}),
    "unique": (400, _CANCELLED),
    "partiql": (200, {"Items": [_ITEM], "NextToken": "abc"}),
    "raw": (200, {"Items": [_ITEM]}),
    "describe": (200, {"Table": {
        "TableName": "paid", "TableStatus": "ACTIVE", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "ItemCount": 1,
        "TableArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/paid", "CreationDateTime": 1.7e9, "TableSizeBytes": 5,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}], "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "GlobalSecondaryIndexes": [{"IndexName": "i", "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}], "IndexStatus": "ACTIVE",
                                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]}}],
    }}),
    "transaction": (400, _CANCELLED),
}  # fmt: skip
_ERRORS: Final = (
    "ProvisionedThroughputExceededException",
    "ValidationException",
    "InternalServerError",
    "ResourceNotFoundException",
    "X#Y",
    "",
)


def replies() -> Target:
    """Whatever a reply says, a verb ends in a value or in an error of the library's. The first line is verb and status."""
    return _replies("replies")


def watched() -> Target:
    """The same, with plugins that look at each answer."""
    return _replies(
        "watched-replies", CostPlugin(), TracingPlugin(), MetricsPlugin(), LoggingPlugin(logging.getLogger("fuzz"))
    )


def _replies(name: str, *plugins: Any) -> Target:
    given: list[Any] = [None]

    def script(_: Any) -> Any:
        return given[0]

    db = Scripted("blocking", script)
    for plugin in plugins:
        db.db.inner.use(plugin)

    def run(data: bytes) -> None:
        head, _, body = data.partition(b"\n")
        verb, _, status = head.decode("latin-1").partition(" ")
        names = list(_VERBS)
        done = _VERBS.get(verb, _VERBS[names[zlib.crc32(head) % len(names)]])
        code = int(status) if status in {"200", "400", "404", "413", "500", "503"} else 200
        given[0] = reply(body, code)
        db.driver.requests.clear()
        db.driver.sleeps.clear()
        with documented():
            repr(done(db.db.inner))

    return Target(
        name,
        _reply_seeds,
        run,
        (b'"__type":', b'{"S":', b'{"N":"', b'"Item":{', b'{"L":[', b'{"M":{', b"200\n", b"400\n"),
    )


def _reply_seeds() -> list[bytes]:
    seeds = [f"{verb} {status}\n".encode() + json.dumps(body).encode() for verb, (status, body) in _REPLIES.items()]
    seeds += [
        f"get 400\n{json.dumps({'__type': name, 'message': SECRET if not name else 'm'})}".encode()
        for name in _ERRORS
        if name
    ]
    seeds += [b"get 503\n<html>", b"query 200\n{}", b"put 200\n{}"]
    return seeds


TARGETS: Final = {"http": http, "replies": replies, "watched-replies": watched}
