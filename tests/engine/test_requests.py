"""Whatever comes as a request ends in an answer of the service's own: never in a 5xx, never in a traceback."""

import json
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm.engine import Engine
from dynamorm.engine.dispatch import OPERATIONS
from dynamorm.engine.shapes.requests import _table

from .conftest import Failed, index, table

SHAPES = _table()


def handle(engine, operation, body):
    status, answer = engine.handle(operation, body)
    assert status < 500, answer
    found = json.loads(answer)
    return status, found.get("__type", "").rpartition("#")[2]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"5", b"null", b'"x"', b"\xff\xfe", b'{"TableName": 5}', b'{"TableName": ["a"]}', b'{"Key": []}', b'{"Key": {"id": "x"}}',
        b'{"Key": {"id": {"S": 5}}}', b'{"Key": {"id": {"N": 5}}}', b'{"Key": {"id": {"BOOL": "true"}}}', b'{"Key": {"id": {"L": {}}}}',
        b'{"TableName": NaN}', b'{"a":' * 2000 + b"1" + b"}" * 2000, b'{"TableName": "a"} x', b'{"Key": {"id": {"S": "\\ud800"}}}',
        b'{"Key": {"id":' + b'{"L":[' * 1500 + b"]}" * 1500 + b"}}", b'{"TableName":"\xc3\x28"}',
    ],
)  # fmt: skip
def test_what_is_no_request_is_a_serialization_exception(engine, body):
    assert handle(engine, "GetItem", body) == (400, "SerializationException")


def test_more_than_16_mb_are_refused(engine):
    body = b'{"TableName": "' + b"x" * 2**24 + b'"}'
    assert handle(engine, "GetItem", body) == (400, "SerializationException")


def test_an_unknown_operation_is_said_so(engine):
    assert handle(engine, "DropTable", b"{}") == (400, "UnknownOperationException")
    assert handle(engine, "ImportTable", b"{}") == (400, "UnknownOperationException")
    assert handle(engine, "DynamoDB_20120810.ListTables", b"{}") == (200, "")


def strategy(name, depth=0):
    """Requests of a shape, right and nearly right."""
    kind, *rest = SHAPES["shapes"][name]
    odd = st.sampled_from([None, 5, "x", [], {}, True, 1.5])
    if kind == "struct":
        members = {member: strategy(shape, depth + 1) for member, shape, _ in rest[0]}
        right = st.fixed_dictionaries({}, optional=members) if depth < 5 else st.just({})
    elif kind == "list":
        right = st.lists(strategy(rest[0], depth + 1), max_size=3) if depth < 5 else st.just([])
    elif kind == "map":
        right = st.dictionaries(
            st.sampled_from(["id", "#a", ":v", "items", "x"]), strategy(rest[0], depth + 1), max_size=3
        )
    elif kind == "value":
        right = st.sampled_from(
            [{"S": "a"}, {"N": "1"}, {"N": "x"}, {"B": "AA=="}, {"B": "?"}, {"SS": []}, {"SS": ["a", "a"]}, {"L": [{}]}, {"M": {"": {"S": ""}}},
             {}, {"S": "a", "N": "1"}, {"NULL": False}, {"S": None}, {"X": 1}]
        )  # fmt: skip
    elif kind == "text":
        words = rest[3] or [
            "items",
            "id",
            "by-g",
            "id = :v",
            "SET a = :v",
            "#a",
            "a[",
            "arn:aws:dynamodb:us-east-1:0:table/items",
            "",
            "x" * 300,
        ]
        right = st.sampled_from(words)
    else:
        right = {"whole": st.sampled_from([0, 1, -1, 10**12]), "bool": st.booleans()}.get(
            kind, st.sampled_from([1.5, "x"])
        )
    return st.one_of(right, right, right, right, odd) if depth else right


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_requests_made_of_the_services_shapes_are_answered(operation):
    with Engine() as engine:
        made = table("items", "id", types={"g": "S"}, on_global=[index("by-g", "g")])
        assert handle(engine, "CreateTable", json.dumps(made).encode())[0] == 200

        @settings(max_examples=40)
        @given(strategy(SHAPES["operations"][operation]))
        def answered(request):
            status, error = handle(engine, operation, json.dumps(request).encode())
            assert status == 200 or error

        answered()


def test_random_bytes_of_a_right_request_are_answered(engine, ask):
    ask.CreateTable(**table("items", "id"))
    right = json.dumps(
        {"TableName": "items", "Item": {"id": {"S": "a"}, "n": {"N": "1.5"}, "l": {"L": [{"B": "AAEC"}]}}}
    ).encode()
    rng = random.Random(3)
    for _ in range(2000):
        body = bytearray(right)
        for _ in range(rng.randint(1, 3)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        handle(engine, "PutItem", bytes(body))


@pytest.mark.parametrize("depth", [100, 700, 810])
def test_no_depth_of_an_expression_is_a_depth_of_calls(ask, depth):
    ask.CreateTable(**table("items", "id"))
    texts = [
        "NOT " * depth + "a = :v",
        "".join(
            f"a=:v{'OR' if n % 2 else 'AND'}(".replace("OR", " OR ").replace("AND", " AND ") for n in range(depth // 3)
        )
        + "b=:v"
        + ")" * (depth // 3),
    ]
    for text in texts:
        try:
            ask.DeleteItem(
                TableName="items",
                Key={"id": {"S": "x"}},
                ConditionExpression=text,
                ExpressionAttributeValues={":v": {"S": "x"}},
            )
        except Failed as error:
            assert error.name in ("ConditionalCheckFailedException", "ValidationException")  # noqa: PT017 - or it succeeds


def test_the_table_of_shapes_is_that_of_the_service():
    from scripts import service_shapes

    assert (
        msgspec.json.decode(service_shapes.TARGET.read_bytes())["operations"].keys()
        == service_shapes.shapes()["operations"].keys()
    )


@pytest.mark.parametrize(
    ("body", "twice"),
    [
        (b'{"TableName": "items", "TableName": "items"}', True),
        (b'{"TableName": "items", "Key": {"id": {"S": "a"}, "id": {"S": "a"}}}', True),
        (b'{"TableName": "items", "Key" : {"id":{"S":"a\\": \\"b"}}}', False),
        (b'{"TableName": "items", "Key": {"i\\\\": {"L": [{"S": "x:"}, {"S": ":"}]}}}', False),
        (b'{"a":' * 3000, False),
    ],
)
def test_members_that_come_twice_are_refused_where_it_is_asked_for(engine, body, twice):
    status, answer = engine.handle("GetItem", body, strict=True)
    assert status == 400
    assert (b"comes twice" in answer) is twice
