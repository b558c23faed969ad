"""Rows of the developer guide's behaviours, and boto3's own client on an engine inside the process.

``dg:PAGE`` is https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PAGE.html, ``api:NAME`` .../APIReference/API_NAME.html,
``kms:PAGE`` https://docs.aws.amazon.com/kms/latest/APIReference/API_PAGE.html. Names of errors are promised, sentences are not.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple
from zlib import crc32

from botocore.awsrequest import AWSResponse

V = "ValidationException"
C = "ConditionalCheckFailedException"
CANCELLED = "TransactionCanceledException"
NOT_FOUND = "ResourceNotFoundException"


class Row(NamedTuple):
    """One behaviour: the page that tells it, what is asked, and what is answered.

    ``expected`` is the code of an error, or what the answer contains (`contains`). ``before`` are requests that precede it, ``after`` is
    a request that follows it, with its own expectation.
    """

    page: str
    operation: str
    request: dict[str, Any]
    expected: Any = {}
    before: tuple[Any, ...] = ()
    after: Any = None


def av(value: Any) -> dict[str, Any]:
    """A Python value as DynamoDB's JSON, as boto3's client takes it."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, Decimal)):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, (set, frozenset)):
        tag = {str: "SS", int: "NS", bytes: "BS"}[type(next(iter(value)))]
        return {tag: sorted(str(one) if tag == "NS" else one for one in value)}
    if isinstance(value, dict):
        return {"M": {name: av(one) for name, one in value.items()}}
    return {"L": [av(one) for one in value]}


def w(**attributes: Any) -> dict[str, Any]:
    """An item, a key or values of an expression: ``v_name`` stands for ``:name``."""
    return {f":{name[2:]}" if name.startswith("v_") else name: av(value) for name, value in attributes.items()}


class Absent:
    """What an answer must not have."""


ABSENT = Absent()


def contains(answer: Any, expected: Any) -> bool:
    """Whether an answer has what is expected: members of a dict, a list of as many, sets in any order, or what a function says."""
    if callable(expected):
        return bool(expected(answer))
    if isinstance(expected, dict):
        if not isinstance(answer, dict):
            return False
        for name, one in expected.items():
            if one is ABSENT:
                if name in answer:
                    return False
            elif name in ("SS", "NS", "BS"):
                if sorted(answer.get(name, ())) != sorted(one):
                    return False
            elif name not in answer or not contains(answer[name], one):
                return False
        return True
    if isinstance(expected, list):
        return isinstance(answer, list) and len(answer) == len(expected) and all(map(contains, answer, expected))
    return bool(answer == expected)


def inside(engine: Any) -> Any:
    """A handler of botocore's event before-send, which has an engine answer without a socket."""

    def answer(request: Any, **_: Any) -> AWSResponse:
        target = request.headers.get("X-Amz-Target", b"")
        body = request.body or b""
        status, data = engine.handle(
            target.decode() if isinstance(target, bytes) else target, body.encode() if isinstance(body, str) else body
        )
        response = AWSResponse(request.url, status, {"x-amz-crc32": str(crc32(data)), "x-amzn-RequestId": "R"}, None)
        response._content = data
        return response

    return answer
