"""Files of providers, amounts, and policies of sessions."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, date
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from dynamorm.payments import Money
from dynamorm.payments.settlement_lines import read_lines
from tests.fuzz.kit import SECRET, Breach, Ended, Target, documented, each
from tests.fuzz.targets.engine import REQUESTS, Asked


def settlements() -> Target:
    """Lines of a provider, in CSV; amounts in minor and in major units."""

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "replace")

        def read(amounts: str) -> Any:
            return read_lines(io.StringIO(text, newline=""), date(2026, 1, 1), UTC, None, amounts, {"paid": "settled"})

        each(lambda: read("minor"), lambda: read("major"))

    seeds = [
        b"id,amount,currency,status,settled_at\np1,500,EUR,paid,2026-01-01T10:00:00Z\np2,5.00,JPY,,2026-01-01\n",
        f"id,amount,currency\r\n{SECRET},-12,USD\r\n".encode(),
        b"id,amount,currency\np1,1.50,EUR\n",
    ]
    words = (
        b"EUR",
        b"KWD",
        b"-",
        b"+",
        b'"',
        b",",
        b"\n",
        b"1e5",
        b"1,000.00",
        b"2026-13-01",
        b"settled_at",
        b"\0",
        b"9" * 50,
    )
    return Target("settlements", lambda: seeds, run, words)


def money() -> Target:
    """Amounts as texts, and as maps that are stored."""

    def run(data: bytes) -> None:
        try:
            stored = json.loads(data, parse_float=Decimal)
        except (ValueError, ArithmeticError, RecursionError):
            stored = data.decode("utf-8", "replace")

        def again(made: Money) -> None:
            if Money(made.amount, made.currency) != made:
                raise Breach("money is not what it is made of")

        if isinstance(stored, list) and len(stored) == 2:
            with documented():
                again(Money(*stored))
        else:
            with documented():
                repr(Money.of_map(stored))

    seeds = [b'["1.50","EUR"]', b'[5,"JPY"]', b'{"a":500,"c":"EUR","e":2}', b'{"a":"5","c":"KWD","e":3}']
    return Target("money", lambda: seeds, run, (b'"EUR"', b"1e400", b"-0", b"NaN", b'"c":'))


_ACCESS: Final = re.compile(rb"<AccessKeyId>([^<]+)<")


def policies() -> Target:
    """The policy of a session, and what it says of requests."""
    asked = Asked()

    def run(data: bytes) -> None:
        form = {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": "arn:aws:iam::000000000000:role/a",
            "RoleSessionName": "session",
            "Policy": data,
        }
        status, body = asked.engine.handle("", urlencode(form).encode())
        if status >= 500:
            raise Breach(f"status {status}")
        found = _ACCESS.search(body)
        if found is None:
            raise Ended
        for operation in ("GetItem", "Query", "TransactWriteItems", "ExecuteStatement", "BatchWriteItem"):
            answer = asked.engine.denial(operation, json.dumps(REQUESTS[operation]).encode(), found[1].decode())
            if answer is not None and answer[0] >= 500:
                raise Breach(f"status {answer[0]}")

    table = "arn:aws:dynamodb:us-east-1:000000000000:table/items"
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"},
        {"Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:Query"], "Resource": [table, f"{table}/index/*"],
         "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["a*", "b?"]}, "StringEqualsIfExists": {"dynamodb:Select": "ALL_ATTRIBUTES"}}},
        {"Effect": "Deny", "NotAction": "dynamodb:GetItem", "NotResource": table, "Condition": {"Null": {"dynamodb:Attributes": "true"}}},
    ]  # fmt: skip
    seeds = [json.dumps({"Version": "2012-10-17", "Statement": one}).encode() for one in (*statements, statements)]
    words = (
        b'"Condition":',
        b'"*"',
        b"${aws:username}",
        b"?" * 50,
        b"*a" * 100,
        b'"ForAnyValue:StringLike":',
        b"[",
        b"(",
        b"\\\\",
    )
    return Target("policies", lambda: seeds, run, words)


TARGETS: Final[dict[str, Callable[[], Target]]] = {"settlements": settlements, "money": money, "policies": policies}
