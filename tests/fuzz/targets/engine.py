"""What clients send to the engine: bytes of HTTP, bodies of requests, expressions, statements."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from typing import Any, Final

from dynamorm.engine import Engine
from dynamorm.engine.http.connection import Connection
from dynamorm.engine.http.desk import Desk
from dynamorm.engine.kms.service import OPERATIONS as KMS
from dynamorm.engine.shapes.requests import MAX_BODY
from tests.engine.test_requests import SHAPES
from tests.fuzz.kit import SECRET, Breach, Ended, Target

_KEY: Final = {"id": {"S": "a"}, "n": {"N": "1"}}
_ITEM: Final[dict[str, Any]] = _KEY | {
    "g": {"S": "g"}, "note": {"S": SECRET}, "l": {"L": [{"N": "1"}, {"S": "x"}]}, "m": {"M": {"a": {"N": "1"}, "b": {"M": {}}}}, "s": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]}, "b": {"B": "AAEC"}, "t": {"BOOL": True}, "z": {"NULL": True}, "v": {"N": "5"},
}  # fmt: skip
_TABLE: Final[dict[str, Any]] = {
    "TableName": "items", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "n", "AttributeType": "N"}, {"AttributeName": "g", "AttributeType": "S"}],
    "GlobalSecondaryIndexes": [{"IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}],
    "BillingMode": "PAY_PER_REQUEST", "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}  # fmt: skip
_T: Final = {"TableName": "items"}
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "GetItem": _T | {"Key": _KEY, "ProjectionExpression": "#a, l[0], m.a", "ExpressionAttributeNames": {"#a": "id"}, "ConsistentRead": True},
    "PutItem": _T | {"Item": _KEY | {"v": {"N": "1"}}, "ConditionExpression": "attribute_not_exists(id) OR v < :v",
                     "ExpressionAttributeValues": {":v": {"N": "9"}}, "ReturnValues": "ALL_OLD", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"},
    "UpdateItem": _T | {"Key": _KEY, "UpdateExpression": "SET v = v + :v, l = list_append(l, :l) REMOVE z ADD ns :n DELETE s :s",
                        "ExpressionAttributeValues": {":v": {"N": "1"}, ":l": {"L": [{"N": "2"}]}, ":n": {"NS": ["9"]}, ":s": {"SS": ["b"]}},
                        "ReturnValues": "UPDATED_NEW", "ReturnConsumedCapacity": "INDEXES"},
    "DeleteItem": _T | {"Key": _KEY, "ConditionExpression": "v = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
    "Query": _T | {"KeyConditionExpression": "id = :i AND n BETWEEN :a AND :b", "FilterExpression": "size(s) > :a AND contains(s, :x)",
                   "ExpressionAttributeValues": {":i": {"S": "a"}, ":a": {"N": "0"}, ":b": {"N": "9"}, ":x": {"S": "a"}}, "Limit": 2,
                   "ExclusiveStartKey": _KEY, "ScanIndexForward": False, "Select": "ALL_ATTRIBUTES"},
    "Scan": _T | {"IndexName": "by-g", "Segment": 0, "TotalSegments": 2, "FilterExpression": "attribute_type(v, :t)",
                  "ExpressionAttributeValues": {":t": {"S": "N"}}},
    "BatchGetItem": {"RequestItems": {"items": {"Keys": [_KEY], "ProjectionExpression": "id"}}},
    "BatchWriteItem": {"RequestItems": {"items": [{"PutRequest": {"Item": _ITEM}}, {"DeleteRequest": {"Key": _KEY | {"n": {"N": "7"}}}}]}},
    "TransactGetItems": {"TransactItems": [{"Get": _T | {"Key": _KEY}}]},
    "TransactWriteItems": {"ClientRequestToken": "t", "TransactItems": [
        {"Put": _T | {"Item": _KEY}}, {"Update": _T | {"Key": _KEY | {"n": {"N": "2"}}, "UpdateExpression": "SET v = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}}},
        {"ConditionCheck": _T | {"Key": _KEY | {"n": {"N": "0"}}, "ConditionExpression": "attribute_exists(id)"}}]},
    "ExecuteStatement": {"Statement": "SELECT * FROM items WHERE id = ?", "Parameters": [{"S": "a"}], "Limit": 3},
    "BatchExecuteStatement": {"Statements": [{"Statement": "SELECT * FROM items WHERE id = 'a' AND n = 1"}]},
    "ExecuteTransaction": {"TransactStatements": [{"Statement": "UPDATE items SET v = 1 WHERE id = 'a' AND n = 1"}]},
    "CreateTable": _TABLE | {"TableName": "other", "SSESpecification": {"Enabled": True}, "Tags": [{"Key": "k", "Value": "v"}]},
    "UpdateTable": _T | {"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}},
    "DescribeTable": _T, "ListTables": {"Limit": 1, "ExclusiveStartTableName": "a"}, "DescribeTimeToLive": _T,
    "UpdateTimeToLive": _T | {"TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True}},
    "TagResource": {"ResourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/items", "Tags": [{"Key": "k", "Value": "v"}]},
    "DescribeContinuousBackups": _T, "DescribeLimits": {}, "DescribeEndpoints": {},
    "DynamoDBStreams_20120810.ListStreams": _T,
    "DynamoDBStreams_20120810.GetRecords": {"ShardIterator": "x", "Limit": 1},
    "DynamoDBStreams_20120810.GetShardIterator": {"StreamArn": "x", "ShardId": "y", "ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "1"},
}  # fmt: skip
_OFTEN: Final = 300


class Asked:
    """An engine that is made as it was, time and again."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.ask("CreateTable", _TABLE)
        for number in range(3):
            self.ask("PutItem", _T | {"Item": _ITEM | {"n": {"N": str(number)}}})
        self._start = self.engine.snapshot()
        self._count = 0

    def ask(self, operation: str, request: Any) -> None:
        """Ask what must be right."""
        status, body = self.engine.handle(operation, json.dumps(request).encode())
        assert status == 200, body

    def answered(self, operation: str, body: bytes) -> None:
        """Ask for anything. Raises: Breach, Ended."""
        self._count += 1
        if self._count % _OFTEN == 0:
            self.engine.restore(self._start)
        status, data = self.engine.handle(operation, body)
        check(status, data)


def check(status: int, data: bytes) -> None:
    """Whether an answer is one that the service may give. Raises: Breach, Ended."""
    found = json.loads(data) if data[:1] == b"{" else {}
    if status not in (200, 400, 403, 404, 412, 413):
        raise Breach(f"status {status}")
    if status != 200:
        if not found.get("__type") and data[:1] == b"{":
            raise Breach("an error without a name")
        if SECRET in str(found.get("message", found.get("Message", ""))):
            raise Breach("the message tells a value of an item")
        raise Ended


def requests() -> Target:
    """A body for an operation, which the first line names."""
    asked, names = Asked(), sorted({*SHAPES["operations"], *REQUESTS})

    def run(data: bytes) -> None:
        head, _, body = data.partition(b"\n")
        operation = head.decode("latin-1")
        asked.answered(operation if operation in names else names[zlib.crc32(head) % len(names)], body)

    words = tuple(f'"{one}":'.encode() for request in REQUESTS.values() for one in request)
    return Target("engine-requests", _request_seeds, run, words)


def _request_seeds() -> list[bytes]:
    seeds = [f"{name}\n{json.dumps(request)}".encode() for name, request in REQUESTS.items()]
    return seeds + [f"{name}\n{{}}".encode() for name in sorted(SHAPES["operations"]) if name not in REQUESTS]


def kms() -> Target:
    """KMS and STS."""
    asked = Asked()
    names = [f"TrentService.{name}" for name in sorted(KMS)]
    given = {"KeyId": "alias/a", "NumberOfBytes": 32, "EncryptionContext": {"a": "b"}, "CiphertextBlob": "AAAA", "Plaintext": "AAAA", "AliasName": "alias/a",
             "TargetKeyId": "x", "Description": "d", "KeySpec": "AES_256", "Limit": 3, "Policy": '{"Statement":[]}', "PolicyName": "default"}  # fmt: skip
    seeds = [f"{name}\n{json.dumps(given)}".encode() for name in names]
    seeds += [
        b"sts\nAction=GetCallerIdentity&Version=2011-06-15",
        b"sts\nAction=AssumeRole&RoleArn=arn:aws:iam::1:role/a&RoleSessionName=s&Policy=%7B%7D",
    ]

    def run(data: bytes) -> None:
        head, _, body = data.partition(b"\n")
        target = head.decode("latin-1")
        if target != "sts" and target not in names:
            target = names[zlib.crc32(head) % len(names)]
        asked.answered("" if target == "sts" else target, body)

    return Target(
        "engine-kms",
        lambda: seeds,
        run,
        (b'"KeyId":', b'{"Statement":[{"Effect":"Allow","Action":"*"}]}', b"&", b"=", b"%"),
    )


_CONDITIONS: Final = (
    "id = :s AND n > :n", "attribute_exists(m.a) OR NOT (l[0] <> :n)", "n BETWEEN :n AND :m", "v IN (:n, :m, :s)", "begins_with(g, :s)", "contains(s, :s)",
    "size(l) >= :n", "attribute_type(v, :t)", "#a.#b[1].c = #c", "(((id = :s)))",
)  # fmt: skip
_UPDATES: Final = (
    "SET v = v + :n, m.b.c = :s", "SET l = list_append(if_not_exists(l, :l), :l)", "REMOVE l[0], m.a", "ADD v :n", "DELETE s :x", "SET #a = #b - :n REMOVE z",
)  # fmt: skip
_PROJECTIONS: Final = ("id, n, m.a, l[0]", "#a, #b.c[2]")
_NAMES: Final = {"#a": "g", "#b": "m", "#c": "v"}
_VALUES: Final[dict[str, Any]] = {
    ":s": {"S": "a"}, ":n": {"N": "1"}, ":m": {"N": "3"}, ":t": {"S": "N"}, ":l": {"L": [{"N": "1"}]}, ":x": {"SS": ["a"]},
}  # fmt: skip
_WORDS: Final = tuple(
    one.encode()
    for one in (
        "AND", "OR", "NOT", "(", ")", "[0]", "[", "]", ".", ",", "=", "<>", "<=", ">", "BETWEEN", "IN", ":n", ":s", "#a", "size(", "contains(", "attribute_exists(",
        "begins_with(", "attribute_type(", "list_append(", "if_not_exists(", "SET", "REMOVE", "ADD", "DELETE", "+", "-", "id", "l[99999999999]", "\u00e9",
    )
)  # fmt: skip


def expressions() -> Target:
    """Expressions of each kind; the first character tells which."""
    asked = Asked()

    def run(data: bytes) -> None:
        kind, text = data[:1], data[1:].decode("utf-8", "replace")
        values = {name: value for name, value in _VALUES.items() if name in text}
        known: dict[str, Any] = _T | {
            "ExpressionAttributeNames": {name: one for name, one in _NAMES.items() if name in text},
            "ExpressionAttributeValues": values,
        }
        request = {name: value for name, value in known.items() if value}
        asks: dict[bytes, tuple[str, dict[str, Any]]] = {
            b"U": ("UpdateItem", {"Key": _KEY, "UpdateExpression": text}),
            b"P": ("GetItem", {"Key": _KEY, "ProjectionExpression": text}),
            b"K": ("Query", {"KeyConditionExpression": text}),
            b"F": ("Scan", {"FilterExpression": text}),
        }
        operation, more = asks.get(kind, ("PutItem", {"Item": _ITEM, "ConditionExpression": text}))
        if operation == "GetItem":
            request.pop("ExpressionAttributeValues", None)
        asked.answered(operation, json.dumps(request | more).encode())

    seeds = [
        f"{kind}{text}"
        for kind, texts in (
            ("C", _CONDITIONS),
            ("F", _CONDITIONS),
            ("K", _CONDITIONS[:3]),
            ("U", _UPDATES),
            ("P", _PROJECTIONS),
        )
        for text in texts
    ]
    return Target("expressions", lambda: [one.encode() for one in seeds], run, _WORDS)


_STATEMENTS: Final = (
    "SELECT * FROM items WHERE id = 'a' AND n >= 1 ORDER BY n DESC", 'SELECT id, m.a, l[0] FROM "items"."by-g" WHERE g = ?',
    "INSERT INTO items VALUE {'id': 'x', 'n': 1, 'l': [1, 'a', {'b': true}], 's': <<'a', 'b'>>, 'z': null}", "UPDATE items SET v = v + 1 REMOVE z WHERE id = 'a' AND n = 1 RETURNING ALL NEW *",
    "DELETE FROM items WHERE id = 'a' AND n = 1 AND v < 3 RETURNING ALL OLD *", "SELECT * FROM items WHERE id IN ['a', 'b'] AND contains(s, 'a')", "UPDATE items SET s = set_add(s, <<'c'>>) WHERE id = 'a' AND n = 2",
    "EXISTS(SELECT * FROM items WHERE id = 'a' AND n = 1)", "SELECT * FROM items WHERE id = 'a' AND n BETWEEN 0 AND 3 AND g IS NOT MISSING AND size(l) > 0",
)  # fmt: skip


def partiql() -> Target:
    """Statements, with one parameter for each question mark."""
    asked = Asked()

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        request: dict[str, Any] = {"Statement": text}
        if "?" in text:
            request["Parameters"] = [{"S": "g"}] * min(text.count("?"), 50)
        operation = "ExecuteStatement"
        if text.startswith("EXISTS"):
            operation, request = "ExecuteTransaction", {"TransactStatements": [request]}
        asked.answered(operation, json.dumps(request).encode())

    words = (
        *_WORDS,
        b"SELECT",
        b"FROM",
        b"WHERE",
        b"VALUE",
        b"{",
        b"}",
        b"<<",
        b">>",
        b"'",
        b'"',
        b"?",
        b"MISSING",
        b"NULL",
        b"RETURNING",
        b"--",
        b"/*",
        b"1e400",
        b"`",
    )
    return Target("partiql", lambda: [one.encode() for one in _STATEMENTS], run, words)


class _Transport(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


_HEADERS: Final = (
    "Host: localhost\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\nContent-Type: application/x-amz-json-1.0\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=local/20240101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0\r\nX-Amz-Date: 20240101T000000Z\r\n"
)


def http() -> Target:
    """Bytes on a connection."""
    asked = Asked()
    desk = Desk(asked.engine, None)
    body = json.dumps(REQUESTS["GetItem"])
    seeds = [
        f"POST / HTTP/1.1\r\n{_HEADERS}Content-Length: {len(body)}\r\n\r\n{body}".encode(),
        f"POST / HTTP/1.1\r\n{_HEADERS}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n".encode(),
        f"POST / HTTP/1.0\r\n{_HEADERS}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{{}}GET / HTTP/1.1\r\n\r\n".encode(),
        b"POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n\r\nAction",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ]

    def run(data: bytes) -> None:
        at = zlib.crc32(data) % (len(data) + 1)
        transport = _Transport()
        connection = Connection(desk, set())
        connection.connection_made(transport)
        for piece in (data[:at], data[at:]):
            if piece and not transport.closed:
                connection.data_received(piece)
        connection.connection_lost(None)
        if b"HTTP/1.1 5" in transport.written:
            raise Breach("answered with 5xx")
        if SECRET.encode() in transport.written and b"200 OK" not in transport.written:
            raise Breach("the message tells a value of an item")
        if b"HTTP/1.1 4" in transport.written:
            raise Ended

    words = (
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"POST / HTTP/1.1\r\n",
        b"\r\n\r\n",
        b"Authorization: ",
        b"X-Amz-Target: ",
        f"{MAX_BODY + 1}".encode(),
        b"Expect: 100-continue\r\n",
    )
    return Target("engine-http", lambda: seeds, run, words)


TARGETS: Final[dict[str, Callable[[], Target]]] = {
    "engine-http": http, "engine-requests": requests, "engine-kms": kms, "expressions": expressions, "partiql": partiql,
}  # fmt: skip
